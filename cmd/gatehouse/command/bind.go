package command

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// bindErrors says which listeners could not be opened, and what to do about it.
func bindErrors(server *proxy.Server) error {
	failed := server.Applied().Listeners
	var all []error
	for _, id := range slices.Sorted(maps.Keys(failed)) {
		all = append(all, bindError(id, failed[id]))
	}
	return errors.Join(all...)
}

func bindError(listener string, err error) error {
	fix := "free the port or change it in the Gateway"
	if errors.Is(err, fs.ErrPermission) {
		fix = "a port below 1024 needs CAP_NET_BIND_SERVICE: grant it, or use a larger port in the Gateway"
	}
	return fmt.Errorf("listener %s: %w; %s", listener, err, fix)
}
