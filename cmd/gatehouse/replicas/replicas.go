// Package replicas joins the proxy to what replicas share through their cluster:
// Secrets with keys that they must agree on, and what one of them fetched of other
// people's keys.
//
// `gatehouse run` tells Shared of the objects it watches, and runs it on the
// leader. It calls controllers/sharedkey and controllers/keptkeys.
package replicas

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/controllers/keptkeys"
	"github.com/gatehouse-dev/gatehouse/controllers/sharedkey"
	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/keyset"
	"github.com/gatehouse-dev/gatehouse/proxy/listener"
)

// ticketKeys is how long a key seals TLS session tickets; it opens them for twice that.
const ticketKeys = 24 * time.Hour

// signingKeys is how long a key signs tokens for backends; it is published for as long before, and after.
const signingKeys = 7 * 24 * time.Hour

// keeper is what Shared is made of.
type keeper interface {
	Saw(o client.Object)
	Gone(o client.Object)
	Run(ctx context.Context) error // on the leader
}

// Shared is all that replicas share. Saw and Gone may be called from any goroutine.
type Shared []keeper

// Join connects server, the replica of this name, to a cluster. Name, Set and Every of
// the options are not used.
func Join(server *proxy.Server, replica string, o sharedkey.Options) Shared {
	key := func(name string, set func(...string) error, every time.Duration) keeper {
		o.Name, o.Set, o.Every = name, set, every
		return sharedkey.New(o)
	}
	return Shared{
		key(sharedkey.Sessions, func(keys ...string) error {
			if err := server.SetSessionKeys(keys...); err != nil {
				return err
			}
			own, err := resetKey(keys[0], replica)
			if err == nil {
				server.SetResetKey(own)
			}
			return err
		}, 0),
		key(sharedkey.Tickets, server.SetTicketKeys, ticketKeys),
		key(sharedkey.Signing, server.SetSigningKeys, signingKeys),
		keptkeys.New(KeySets(server, keptkeys.Options{Client: o.Client, Namespace: o.Namespace, Log: o.Log, Owner: o.Owner})),
	}
}

// resetKey derives what a replica alone has, and has again when it was killed and is
// back, from a key that all have and that stays.
func resetKey(shared, replica string) (key [listener.KeyLen]byte, err error) {
	b, err := hkdf.Key(sha256.New, []byte(shared), nil, "gatehouse QUIC reset "+replica, len(key))
	copy(key[:], b)
	return key, err
}

// KeySets completes the options of a Keeper of the key sets that server fetches.
func KeySets(server *proxy.Server, o keptkeys.Options) keptkeys.Options {
	o.MaxAge = keyset.MaxAge
	o.Fetched = func() (out []keptkeys.Set) {
		for _, s := range server.KeySets() {
			out = append(out, keptkeys.Set{Source: s.Source, Fetched: s.Fetched, Document: s.Document})
		}
		return out
	}
	o.Restore = func(all []keptkeys.Set) error {
		var kept []keyset.Kept
		for _, s := range all {
			kept = append(kept, keyset.Kept{Source: s.Source, Fetched: s.Fetched, Document: s.Document})
		}
		return server.RestoreKeySets(kept)
	}
	return o
}

// Saw tells of an object as it is now.
func (s Shared) Saw(o client.Object) {
	for _, k := range s {
		k.Saw(o)
	}
}

// Gone tells of an object that is no more.
func (s Shared) Gone(o client.Object) {
	for _, k := range s {
		k.Gone(o)
	}
}

// Run writes what is shared, until ctx ends.
func (s Shared) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, k := range s {
		group.Go(func() error { return k.Run(ctx) })
	}
	return group.Wait()
}
