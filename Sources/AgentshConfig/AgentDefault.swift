/// The built-in policy, for Debian and Ubuntu. Loaded through the same parser as everybody's; it is written to be
/// copied, so its comments speak to users.
package let agentDefaultYAML =
  agentDefaultHead + agentDefaultCommands + agentDefaultFiles + agentDefaultNetwork + agentDefaultEnvironment

private let agentDefaultHead = #"""
  # agent-default: what a coding agent may do when nobody says otherwise.
  #
  # In the workspace it works freely: sh, git, make, gcc, clang, python, pip, npm, cargo, go and swift as usual.
  # Secrets are not readable. Nothing outside the workspace, caches and temp is written. Dangerous commands are
  # denied with a reason. To change something, copy this file to ~/.config/agentsh/policies/NAME.yaml and pass
  # --policy NAME. In every list the first rule that matches decides.
  version: 1
  name: agent-default
  description: Built-in policy for coding agents on Debian and Ubuntu.

  """#
