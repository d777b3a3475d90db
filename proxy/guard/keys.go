package guard

import (
	"cmp"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/gatehouse-dev/gatehouse/proxy/auth/apikey"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// maxUsed is how many keys' last use is told, so that it fits a metric.
const maxUsed = 1000

// keyUses knows the indexes of API keys that policies use, to say when each key
// was used last. An index goes when the last policy lets go of it.
type keyUses struct {
	mu      sync.Mutex
	indexes []weak.Pointer[apikey.Index] // the youngest last
}

// index makes the index of t, which takes over what the one before it of the same
// keys knows.
func (u *keyUses) index(t *table.APIKeys) *apikey.Index {
	u.mu.Lock()
	defer u.mu.Unlock()
	var before *apikey.Index
	u.indexes = slices.DeleteFunc(u.indexes, func(w weak.Pointer[apikey.Index]) bool {
		ix := w.Value()
		if ix != nil && ix.ID() == t.ID {
			before = ix
		}
		return ix == nil
	})
	ix := apikey.NewIndex(t, before)
	u.indexes = append(u.indexes, weak.Make(ix))
	return ix
}

func (u *keyUses) each(f func(secret string, at time.Time)) {
	last := map[string]int64{}
	u.mu.Lock()
	for _, w := range u.indexes {
		if ix := w.Value(); ix != nil {
			ix.Used(func(secret string, at int64) { last[secret] = max(last[secret], at) })
		}
	}
	u.mu.Unlock()
	secrets := make([]string, 0, len(last))
	for secret := range last {
		secrets = append(secrets, secret)
	}
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Or(cmp.Compare(last[b], last[a]), cmp.Compare(a, b)) })
	for _, secret := range secrets[:min(len(secrets), maxUsed)] {
		f(secret, time.Unix(last[secret], 0))
	}
}
