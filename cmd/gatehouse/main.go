// Command gatehouse is the gateway: controller and proxy in one process.
package main

import (
	"context"
	"os"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
)

func main() { os.Exit(run()) }

func run() int {
	if err := command.New(os.Stdout, os.Stderr).ExecuteContext(context.Background()); err != nil {
		return command.ExitCode(err)
	}
	return 0
}
