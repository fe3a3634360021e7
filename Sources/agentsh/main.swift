import AgentshCommands
import Glibc

CommandLineMain.holdStandardDescriptors()
exit(CommandLineMain.run(Array(CommandLine.arguments.dropFirst())))
