package names

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is what DNS says, and what was found of it.
type zone struct {
	mu    sync.Mutex
	hosts map[string][]string // none: an error
	asked int
	found []string
}

func (z *zone) set(host string, addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts[host] = addresses
}

func (z *zone) lookup(_ context.Context, host string) (out []netip.Addr, err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	host, whole := strings.CutSuffix(host, ".")
	if !whole { // a search list may make another name of it
		return []netip.Addr{netip.MustParseAddr("10.96.0.1")}, nil
	}
	if len(z.hosts[host]) == 0 {
		return nil, errors.New("no such host")
	}
	for _, a := range z.hosts[host] {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func (z *zone) got() (text string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(z.found) == 0 {
		return ""
	}
	return z.found[len(z.found)-1]
}

func (z *zone) counts() (asked, found int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked, len(z.found)
}

// TestNames follows a name through an outage and a move, by a clock of its own.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{hosts: map[string][]string{}}
		r := New(Options{Lookup: z.lookup, Log: logr.Discard(), Found: func(id string, eps []table.Endpoint) {
			text := id
			for _, e := range eps {
				text += " " + e.Address.String()
			}
			z.mu.Lock()
			defer z.mu.Unlock()
			z.found = append(z.found, text)
		}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		f := func(what, want string) {
			t.Helper()
			synctest.Wait()
			if got := z.got(); got != want {
				t.Errorf("%s: found %q, want %q", what, got, want)
			}
		}
		z.set("a.example", "192.0.2.2", "192.0.2.1", "::ffff:192.0.2.1", "127.0.0.1", "169.254.169.254", "168.63.129.16", "fd00:ec2::254", "2001:db8::1")
		r.Want(map[string]table.Name{"a": {Host: "a.example", Port: 443}})
		f("at first", "a 192.0.2.1:443 192.0.2.2:443 [2001:db8::1]:443")
		time.Sleep(5 * time.Minute)
		if asked, found := z.counts(); asked < 9 || asked > 12 || found != 1 {
			t.Errorf("asked %d times in 5 minutes, told %d times", asked, found)
		}
		z.set("a.example")
		time.Sleep(10 * time.Minute)
		f("DNS is away", "a 192.0.2.1:443 192.0.2.2:443 [2001:db8::1]:443")
		z.set("a.example", "127.0.0.1")
		time.Sleep(time.Minute)
		f("only the machine itself", "a 192.0.2.1:443 192.0.2.2:443 [2001:db8::1]:443")
		z.set("a.example", "198.51.100.1")
		time.Sleep(time.Minute)
		f("it moved", "a 198.51.100.1:443")
		r.Want(map[string]table.Name{"a": {Host: "a.example", Port: 8443}})
		f("another port", "a 198.51.100.1:8443")
		r.Want(nil)
		synctest.Wait()
		before, _ := z.counts()
		time.Sleep(5 * time.Minute)
		if after, _ := z.counts(); after != before {
			t.Errorf("asked %d times for what nobody wants", after-before)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestManyNames: some of a hundred ask at one time.
func TestManyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		under, most, found := 0, 0, 0
		r := New(Options{
			Log: logr.Discard(), AtOnce: 3,
			Lookup: func(context.Context, string) ([]netip.Addr, error) {
				mu.Lock()
				under++
				most = max(most, under)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				mu.Lock()
				under--
				mu.Unlock()
				return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
			},
			Found: func(string, []table.Endpoint) { mu.Lock(); found++; mu.Unlock() },
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		want := map[string]table.Name{}
		for i := range 100 {
			want[fmt.Sprint(i)] = table.Name{Host: fmt.Sprint(i), Port: 1}
		}
		r.Want(want)
		time.Sleep(time.Second)
		mu.Lock()
		if most != 3 || found != 100 {
			t.Errorf("%d asked at one time, %d were found", most, found)
		}
		mu.Unlock()
		stop()
		<-ended
	})
}
