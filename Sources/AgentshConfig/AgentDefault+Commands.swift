let agentDefaultCommands = #"""
  # ---------------------------------------------------------------------------------------------------------------
  # Commands. The file and network rules are the guard; here is only what should be refused by name, with a reason
  # that the agent understands. Names without / are base names in any directory. Everything else may start.

  command_rules:
    - name: deny-privilege-change
      commands: [sudo, su, doas, pkexec, runuser, run0, setpriv, capsh, newgrp, sg, chroot, nsenter, unshare,
                 machinectl, systemd-run, newuidmap, newgidmap]
      decision: deny
      message: "Changing user or namespace is not possible in here. Ask the user to run this."

    - name: deny-system-administration
      commands: [shutdown, reboot, halt, poweroff, telinit, systemctl, loginctl, hostnamectl, timedatectl,
                 /usr/sbin/service, mount, umount, swapon, swapoff, losetup, mkfs, "mkfs.*", mke2fs, mkswap, fdisk,
                 sfdisk, cfdisk, gdisk, sgdisk, parted, wipefs, blkdiscard, cryptsetup, dmsetup, mdadm, lvm, debugfs,
                 insmod, modprobe, rmmod, kexec, "iptables*", "ip6tables*", nft, ufw, firewall-cmd, useradd, usermod,
                 userdel, adduser, deluser, groupadd, groupmod, groupdel, addgroup, delgroup, passwd, chpasswd,
                 gpasswd, chage, chsh, chfn, vipw, vigr, visudo, update-grub, grub-install, efibootmgr]
      decision: deny
      message: "System administration is not for the agent. Ask the user to run this."

    # What is planted there runs later, outside.
    - name: deny-scheduling
      commands: [crontab, /usr/bin/at, /usr/bin/batch, anacron]
      decision: deny
      message: "Scheduling commands for later is not allowed. Run it now, in the workspace."

    - name: deny-device-writes
      commands: [dd]
      args_patterns:
        - '(^|\s)of=/dev/(sd|hd|vd|xvd|nvme|mmcblk|dm-|md|loop|mapper/|disk/|mem|kmem|port)'
      decision: deny
      message: "Writing to devices is not allowed."

    # The shell has replaced ~ and * before rm sees them.
    - name: deny-destructive-rm
      commands: [rm]
      args_patterns:
        - '(^|\s)--no-preserve-root(\s|$)'
        - '(^|\s)(/+|/\*|~/?|~/\*|/root/?|/home/?|/home/[^/\s]+/?)(\s|$)'
        - '(^|\s)/(bin|boot|dev|etc|lib|lib32|lib64|opt|proc|run|sbin|srv|sys|usr|var)/?\*?(\s|$)'
      decision: deny
      message: "This would delete the system or a home directory."

    - name: deny-remote-shells
      commands: [nc, "nc.*", ncat, netcat, socat, telnet, ssh, scp, sftp, rsh, rlogin, sshd, ssh-add, ssh-copy-id]
      decision: deny
      message: "Raw and remote shells are not allowed. Use https: git works with https URLs, downloads with curl."

    # Whoever reaches a container engine is root outside.
    - name: deny-container-engines
      commands: [docker, docker-compose, podman, buildah, nerdctl, ctr, crictl, lxc, incus, kubectl]
      decision: deny
      message: "Container engines and clusters are outside of the sandbox. Ask the user to run this."

    - name: deny-system-packages
      commands: [apt, apt-get, aptitude, dpkg, snap, flatpak]
      args_patterns:
        - '(^|\s)(install|reinstall|remove|purge|autoremove|upgrade|full-upgrade|dist-upgrade|refresh)(\s|$)'
        - '(^|\s)(-i|--install|-r|--remove|-P|--purge|--unpack|--configure)(\s|$)'
      decision: deny
      message: "System packages are installed by the user. Use a virtual environment or a package manager of the language."

    # --force-with-lease stays possible.
    - name: deny-git-force-push
      commands: [git]
      args_patterns:
        - '^((-c|-C|--git-dir|--work-tree|--namespace)\s+\S+\s+|-\S+\s+)*push\s(.*\s)?(--force|-[a-zA-Z]*f[a-zA-Z]*|--mirror|\+\S+)(\s|$)'
      decision: deny
      message: "Force pushing loses the work of others. Use --force-with-lease, or ask the user."

    # Settings of git that name programs: they run when the user works in this repository, outside. Reading them, and
    # -c for one command, stays possible. (.git/config itself: see the file rules.)
    - name: deny-git-config-programs
      commands: [git]
      args_patterns:
        - '(?i)^((-c|-C|--git-dir|--work-tree|--namespace)\s+\S+\s+|-\S+\s+)*config\s(.*\s)?(core\.(hookspath|fsmonitor|sshcommand|editor|pager|askpass|gitproxy)|alias\.\S+|pager\.\S+|filter\.\S+|diff\.\S*(command|textconv|external)|merge\.\S+\.driver|credential\.\S+|include(if)?\.\S+|gpg\.\S+|sequence\.editor|remote\.\S+\.(uploadpack|receivepack|vcs))\s+\S'
      decision: deny
      message: "This git setting names a program that would run outside of the sandbox later. Ask the user to set it."

    - name: allow-other-commands
      commands: ["*"]
      decision: allow

  """#
