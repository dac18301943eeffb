// The parts of Argo CD that the tests run, in one program: upstream's own also holds the API server, its command line and four more
// servers, which take most of the time that it takes to build.
package main

import (
	"os"

	"github.com/spf13/cobra"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
)

func main() {
	command := &cobra.Command{Use: "argocd", SilenceUsage: true}
	command.AddCommand(controller.NewCommand(), reposerver.NewCommand(), healthCommand())
	if command.Execute() != nil {
		os.Exit(1)
	}
}
