let agentDefaultFiles = #"""
  # ---------------------------------------------------------------------------------------------------------------
  # Files. Paths are canonical names: links are resolved before. `{,/**}` is a directory and all below it. What no
  # rule names may be read and may not be changed.

  file_rules:
    # --- Secrets: not to be opened, changed, moved or linked by anything --------------------------------------------
    # That there is such a file may be seen: hiding it (stat, access, readlink, list) would mean that each such call of
    # each program is asked about.

    # The agent's own key file, for agents that keep it in one.
    - name: allow-agent-keys
      paths: ["${HOME}/.config/mini-swe-agent/.env"]
      operations: [read]
      decision: allow

    # Each home, so that a session of root does not read those of the users.
    - name: deny-credentials
      paths:
        - "{${HOME},/root,/home/*}/{.ssh,.gnupg,.aws,.azure,.kube,.password-store,.mozilla,.thunderbird}{,/**}"
        - "{${HOME},/root,/home/*}/.config/{gcloud,op,google-chrome,chromium,BraveSoftware,microsoft-edge,vivaldi}{,/**}"
        - "{${HOME},/root,/home/*}/.config/{gh/hosts.yml,glab-cli/config.yml,hub,git/credentials,containers/auth.json}"
        - "{${HOME},/root,/home/*}/{.netrc,.git-credentials,.pypirc,.vault-token,.docker/config.json}"
        - "{${HOME},/root,/home/*}/{.cargo/credentials,.cargo/credentials.toml,.gem/credentials}"
        - "{${HOME},/root,/home/*}/{.m2/settings.xml,.m2/settings-security.xml,.gradle/gradle.properties}"
        - "{${HOME},/root,/home/*}/.terraform.d/credentials.tfrc.json"
        - "{${HOME},/root,/home/*}/.local/share/keyrings{,/**}"
        - "{${HOME},/root,/home/*}/snap/{firefox,chromium}{,/**}"
        - "{${HOME},/root,/home/*}/.{bash,zsh,psql,mysql,rediscli}_history"
        # npm takes an unreadable ~/.npmrc for an absent one and goes on with the public registry. If yours only names
        # a registry, and holds no token, allow it before this rule.
        - "{${HOME},/root,/home/*}/.npmrc"
      operations: [read, write, create, delete, rmdir, mkdir, rename, link, symlink, mknod, truncate, chmod, chown, setattr]
      decision: deny
      message: "Credentials are not readable in here."

    - name: deny-system-secrets
      paths:
        - "/etc/{shadow,shadow-,gshadow,gshadow-,sudoers,sudoers.d,sudoers.d/**,krb5.keytab}"
        - "/etc/ssh/ssh_host_*_key"
        - "/etc/ssl/private{,/**}"
        - "/run/secrets{,/**}"
        # Memory, disks and input devices, for sessions of root.
        - "/dev/{mem,kmem,port,uinput}"
        - "/dev/{sd,hd,vd,xvd,nvme,mmcblk,dm-,md,loop}*"
        - "/dev/{mapper,input,disk}/**"
      operations: [read, write, create, delete, rmdir, mkdir, rename, link, symlink, mknod, truncate, chmod, chown, setattr]
      decision: deny
      message: "This part of the system is not readable in here."

    # Other programs' variables and memory hold their keys.
    - name: deny-process-secrets
      paths: ["/proc/*/{environ,mem}", "/proc/*/task/*/{environ,mem}", "/proc/kcore"]
      operations: [read, write, create, delete, rmdir, mkdir, rename, link, symlink, mknod, truncate, chmod, chown, setattr]
      decision: deny
      message: "Environment and memory of processes are not readable in here."

    # Private keys by name, and .env files, wherever they lie. They may be written, because git checks them out and
    # scaffolding makes them, but not read; and not linked or renamed, which would be a way around that.
    - name: allow-env-examples
      paths: ["**/.env.{example,sample,template,dist,defaults}"]
      operations: [read]
      decision: allow

    - name: deny-env-files
      paths: ["**/.env", "**/.env.*", "**/id_{rsa,dsa,ecdsa,ed25519,ecdsa_sk,ed25519_sk}"]
      operations: [read, link, rename]
      decision: deny
      message: "Files with keys are not readable in here. Ask the user for the values that are needed, or use .env.example."

    # --- Code that runs later, outside ------------------------------------------------------------------------------

    # Shell start files, programs on the PATH, settings of git and editors. They lie outside of most workspaces and
    # could not be written anyway; this holds when the home directory itself is the workspace.
    - name: deny-home-start-files
      paths:
        - "${HOME}/.{profile,bashrc,bash_profile,bash_login,bash_logout,bash_aliases,zshrc,zshenv,zprofile,zlogin,zlogout}"
        - "${HOME}/.{gitconfig,inputrc,tmux.conf,screenrc,vimrc,gvimrc,emacs,xprofile,xsession,xinitrc,pam_environment}"
        - "${HOME}/{bin,.local/bin,.local/lib,.cargo/bin,go/bin,.bun/bin,.deno/bin,.npm-global,.pyenv,.nvm,.rustup}{,/**}"
        - "${HOME}/{.vim,.emacs.d,.vscode,.vscode-server,.cursor,.oh-my-zsh}{,/**}"
        - "${HOME}/.config/{git,fish,nvim,autostart,systemd,environment.d,Code,Cursor,pip,direnv}{,/**}"
        - "${HOME}/.local/share/{applications,systemd,dbus-1,nvim}{,/**}"
        - "${HOME}/.cargo/{config,config.toml,env}"
        - "${HOME}/.gradle/init.d{,/**}"
      operations: [write, create, delete, rmdir, mkdir, rename, link, symlink, mknod, truncate]
      decision: deny
      message: "What runs when the user logs in or works is changed by the user only."

    # Git hooks of the workspace. The samples that `git init` and `git clone` copy do not run.
    - name: allow-git-hook-samples
      paths:
        - "{${WORKSPACE},${GIT_ROOT}}/**/*.git/hooks/*.sample"
        - "{${WORKSPACE},${GIT_ROOT}}/**/.git/modules/**/hooks/*.sample"
      operations: ["*"]
      decision: allow

    # They may be deleted: then nothing runs, and a clone can be removed.
    - name: deny-git-hooks
      paths:
        - "{${WORKSPACE},${GIT_ROOT}}/**/*.git/hooks/**"
        - "{${WORKSPACE},${GIT_ROOT}}/**/.git/modules/**/hooks/**"
      operations: [write, create, mkdir, rename, link, symlink, mknod, truncate]
      decision: deny
      message: "Git hooks run outside of the sandbox later. Ask the user to install this one."

    # .git/config, .envrc, .vscode and the like may name programs too. Rules see files and not what a command wants
    # with them: git makes .git/config anew for init, clone, remote and config (it writes config.lock and renames it),
    # and checks .vscode and .envrc out. So making, replacing and deleting them is allowed, and always recorded:
    #   agentsh events query --decision audit
    # Writing into one that exists, which git never does, is denied. Without git in the workspace, write deny here.
    - name: audit-later-code
      paths:
        - "{${WORKSPACE},${GIT_ROOT}}/**/*.git/{config,config.worktree}"
        - "{${WORKSPACE},${GIT_ROOT}}/**/.git/modules/**/config"
        - "{${WORKSPACE},${GIT_ROOT}}/**/{.envrc,.mcp.json}"
        - "{${WORKSPACE},${GIT_ROOT}}/**/{.vscode,.idea,.devcontainer}/**"
        - "{${WORKSPACE},${GIT_ROOT}}/**/{.claude,.cursor,.codex,.gemini}/{*.json,*.toml,hooks/**,commands/**}"
      operations: [create, delete, rmdir, mkdir, rename]
      decision: audit

    - name: deny-later-code
      paths:
        - "{${WORKSPACE},${GIT_ROOT}}/**/*.git/{config,config.worktree}"
        - "{${WORKSPACE},${GIT_ROOT}}/**/.git/modules/**/config"
        - "{${WORKSPACE},${GIT_ROOT}}/**/{.envrc,.mcp.json}"
        - "{${WORKSPACE},${GIT_ROOT}}/**/{.vscode,.idea,.devcontainer}/**"
        - "{${WORKSPACE},${GIT_ROOT}}/**/{.claude,.cursor,.codex,.gemini}/{*.json,*.toml,hooks/**,commands/**}"
      operations: [write, truncate, link, symlink, mknod]
      decision: deny
      message: "This file may start programs outside of the sandbox later. Ask the user to change it."

    # --- Where it works ---------------------------------------------------------------------------------------------

    # With a workspace inside a repository, git itself still works. (A linked worktree also needs the .git of its main
    # repository: add it here.)
    - name: allow-workspace
      paths: ["${WORKSPACE}{,/**}", "${GIT_ROOT}/.git{,/**}"]
      operations: ["*"]
      decision: allow

    - name: allow-temp
      paths: ["{/tmp,/var/tmp,/dev/shm}/**"]
      operations: ["*"]
      decision: allow

    - name: allow-devices
      paths: ["/dev/{null,zero,full,random,urandom,tty,ptmx,pts/*}"]
      operations: [read, write]
      decision: allow

    # What package managers keep between runs. Programs on the PATH and their settings are not in here.
    - name: allow-caches
      paths:
        - "${HOME}/{.cache,.npm,.ccache,.swiftpm,.node-gyp,.pnpm-store}{,/**}"
        - "${HOME}/.cargo{,/registry,/registry/**,/git,/git/**}"
        - "${HOME}/.cargo/.{package-cache,package-cache-mutate,global-cache,global-cache-journal}"
        - "${HOME}/go{,/pkg}"
        - "${HOME}/go/pkg/**"
        - "${HOME}/.config/go{,/telemetry,/telemetry/**}"
        - "${HOME}/.gradle{,/caches,/daemon,/native,/wrapper,/notifications,/workers,/jdks,/.tmp}"
        - "${HOME}/.gradle/{caches,daemon,native,wrapper,notifications,workers,jdks,.tmp}/**"
        - "${HOME}/.m2{,/repository,/repository/**,/wrapper,/wrapper/**}"
        - "${HOME}/.local/share/pnpm/store{,/**}"
        - "${HOME}/.yarn/{cache,berry}{,/**}"
        - "${HOME}/.bun/install/cache{,/**}"
      operations: ["*"]
      decision: allow

    # What agents keep between runs. Their settings, which can name programs, are not in here.
    - name: allow-agent-state
      paths:
        - "${HOME}/.claude{,/projects,/todos,/statsig,/shell-snapshots,/debug,/session-env,/file-history,/ide,/plans}"
        - "${HOME}/.claude/{projects,todos,statsig,shell-snapshots,debug,session-env,file-history,ide,plans}/**"
        - "${HOME}/.claude/{history.jsonl,stats-cache.json,.credentials.json}"
        - "${HOME}/.codex{,/sessions,/sessions/**,/log,/log/**,/history.jsonl,/auth.json,/version.json}"
        - "${HOME}/.gemini{,/tmp,/tmp/**,/oauth_creds.json}"
        - "${HOME}/.config/mini-swe-agent{,/**}"
      operations: ["*"]
      decision: allow

    # Claude Code writes its settings here with every start; they can name programs, so it is recorded.
    - name: audit-agent-settings
      paths: ["${HOME}/.claude.json{,.lock,.lock/**,.backup,.backup.*,.tmp.*}"]
      operations: ["*"]
      decision: audit

    # What programs say about themselves: thread names and the like.
    - name: allow-process-settings
      paths:
        - "/proc/*/{comm,oom_score_adj,timerslack_ns,coredump_filter,clear_refs}"
        - "/proc/*/task/*/comm"
      operations: [write, truncate]
      decision: allow

    # Everything else: read, yes (default-allow-reads); change, no (default-deny-files).

  """#
