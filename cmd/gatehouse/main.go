// Command gatehouse is the gateway: controller and proxy in one process.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := command.New(os.Stdout, os.Stderr).ExecuteContext(ctx); err != nil {
		return command.ExitCode(err)
	}
	return 0
}
