package usage

import (
	"context"
	"os/signal"
	"syscall"
)

// UntilTold returns a context that ends when the process is told to end; to be told twice
// ends the process at once. It is for what has requests to finish: everything else is ended
// by the first signal, as programs are.
func UntilTold(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
