package command

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// bindErrors says which listeners could not be opened, and what to do about it.
func bindErrors(server *proxy.Server) error {
	failed := server.Applied().Listeners
	var all []error
	for _, id := range slices.Sorted(maps.Keys(failed)) {
		all = append(all, fmt.Errorf("listener %s: %w; free the port or change it in the Gateway", id, failed[id]))
	}
	return errors.Join(all...)
}
