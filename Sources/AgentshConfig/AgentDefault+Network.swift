let agentDefaultNetwork = #"""
  # ---------------------------------------------------------------------------------------------------------------
  # Network, by address and port. Names come with a later version; then the web below can be narrowed to the hosts
  # that an agent needs. What no rule names is denied.

  network_rules:
    # The resolver, which is often a private address.
    - name: allow-dns
      ports: [53]
      decision: allow

    # Development servers and local models. A service of yours that listens on loopback without a password is open to
    # the agent: deny its port before this rule.
    - name: allow-loopback
      cidrs: ["127.0.0.0/8", "::1/128"]
      decision: allow

    # Cloud machines hand out their credentials here.
    - name: deny-metadata
      cidrs: ["169.254.0.0/16", "fe80::/10", "100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::254/128"]
      decision: deny
      message: "Cloud metadata and link-local addresses are not reachable in here."

    - name: deny-private-networks
      cidrs: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "0.0.0.0/8", "198.18.0.0/15",
              "224.0.0.0/3", "fc00::/7", "ff00::/8", "::/96"]
      decision: deny
      message: "Private networks are not reachable in here."

    - name: allow-web
      ports: [80, 443]
      decision: allow

  # ---------------------------------------------------------------------------------------------------------------
  # Unix sockets. Behind many of them listens something that acts outside of the sandbox for whoever connects. What no
  # rule names is denied, abstract sockets (@name) among it.

  unix_socket_rules:
    - name: deny-control-sockets
      paths:
        - "/run/{docker.sock,containerd/**,podman/**,crio/**,lxd.socket,snapd.socket,snapd-snap.socket,libvirt/**}"
        - "/run/{dbus/**,systemd/**,screen/**,user/**}"
        - "/tmp/{ssh-*,tmux-*,emacs*,gpg-*,agentsh-*,.X11-unix,.ICE-unix,.XIM-unix,screen-*}/**"
        - "/tmp/{dbus-*,vscode-*,.vscode-*,cursor-*}"
        - "${HOME}/{.ssh,.gnupg,.docker,.vscode-server,.emacs.d}/**"
      decision: deny
      message: "This socket controls something outside of the sandbox."

    - name: allow-own-sockets
      paths: ["${WORKSPACE}/**", "{/tmp,/var/tmp,/dev/shm}/**", "${HOME}/.cache/**", "${HOME}/.gradle/daemon/**"]
      decision: allow

  """#

let agentDefaultEnvironment = #"""
  # ---------------------------------------------------------------------------------------------------------------
  # Environment. Credentials (names that end in _TOKEN, _API_KEY and so on) and hooks of loaders and interpreters do not
  # reach the agent unless they are named here exactly. These are the keys that agents need for their own model.

  env_policy:
    allow:
      - "*"
      - ANTHROPIC_API_KEY
      - ANTHROPIC_AUTH_TOKEN
      - CLAUDE_CODE_OAUTH_TOKEN
      - OPENAI_API_KEY
      - CODEX_API_KEY
      - AZURE_OPENAI_API_KEY
      - GEMINI_API_KEY
      - GOOGLE_API_KEY
      - MISTRAL_API_KEY
      - DEEPSEEK_API_KEY
      - OPENROUTER_API_KEY
      - GROQ_API_KEY
      - XAI_API_KEY
      - CEREBRAS_API_KEY
      - MOONSHOT_API_KEY

  audit:
    log_allowed: true
  """#
