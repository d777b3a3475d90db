//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rate is how many requests a load sends in a second, whether or not the ones before were answered.
const rate = 100

// answer is what the backend says of itself and of the request it was sent.
type answer struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Path      string `json:"path"`
	status    int
	code      string // of an answer of the gateway's own
	serial    string // of the certificate that was shown
}

// target is what requests are sent to.
type target struct {
	URL   string // with an IP address
	Host  string
	TLS   *tls.Config
	Wants func(answer) error // what a good answer is beside its status; nil: any
	// Tries is how often a request is sent until it is answered. A client cannot tell a request that a killed process never saw
	// from one it was working on, so only loads across a crash have more than one.
	Tries int
}

// load is requests that go on until stop.
type load struct {
	t      *testing.T
	to     target
	cancel context.CancelFunc
	done   sync.WaitGroup
	began  time.Time

	mu      sync.Mutex
	lost    map[string]int // by reason
	slowest time.Duration
	pods    map[string]int // answers by the pod of the backend

	sent, good, again atomic.Int64
}

// start begins a load. Every other request has a connection of its own, as a client's first; the rest keep theirs.
func start(t *testing.T, to target) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{t: t, to: to, cancel: cancel, began: time.Now(), lost: map[string]int{}, pods: map[string]int{}}
	fresh, kept := client(to.TLS, true), client(to.TLS, false)
	l.done.Go(func() {
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			with := kept
			if n%2 == 0 {
				with = fresh
			}
			l.done.Go(func() { l.one(with, n) })
		}
	})
	t.Cleanup(func() {
		cancel()
		l.done.Wait()
		kept.CloseIdleConnections()
	})
	return l
}

// client returns an HTTP client inside the cluster's network.
func client(config *tls.Config, fresh bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: theCluster.network.dial, TLSClientConfig: config, DisableKeepAlives: fresh,
			MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       15 * time.Second,
	}
}

func (l *load) one(with *http.Client, n int) {
	l.sent.Add(1)
	began := time.Now()
	var got answer
	var err error
	for try := range max(l.to.Tries, 1) {
		if try > 0 {
			l.again.Add(1)
			time.Sleep(100 * time.Millisecond)
		}
		got, err = ask(with, l.to, fmt.Sprintf("/load/%d", n), &l.again)
		if err == nil {
			break
		}
	}
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if err != nil {
		// Ports and times would make every reason another one.
		l.lost[reason(err)]++
		if l.lost[reason(err)] <= 3 {
			l.t.Logf("lost at %5.2fs, after %s: %v", began.Sub(l.began).Seconds(), took.Round(time.Millisecond), err)
		}
		return
	}
	l.good.Add(1)
	l.pods[got.Pod]++
}

func reason(err error) string {
	text := err.Error()
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err, text = inner, inner.Error()
	}
	return text
}

// ask sends one request and reads the whole answer. Resent counts what the client's HTTP library sends again by itself: a request on a
// kept connection that the other end was closing.
func ask(with *http.Client, to target, path string, resent *atomic.Int64) (answer, error) {
	connections := 0
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if connections++; connections > 1 && resent != nil {
			resent.Add(1)
		}
	}})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, to.URL+path, nil)
	if err != nil {
		return answer{}, err
	}
	r.Host = to.Host
	response, err := with.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	got := answer{status: response.StatusCode}
	if response.TLS != nil {
		got.serial = response.TLS.PeerCertificates[0].SerialNumber.String()
	}
	if response.StatusCode != http.StatusOK {
		var own struct{ Code string }
		_ = json.Unmarshal(text, &own)
		got.code = own.Code
		return got, fmt.Errorf("%d %s", response.StatusCode, own.Code)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		return got, fmt.Errorf("200 with %.100q", text)
	}
	if to.Wants != nil {
		return got, to.Wants(got)
	}
	return got, nil
}

// stop ends the load, waits for its last answer, and fails the test if a request was lost.
func (l *load) stop() {
	l.t.Helper()
	l.cancel()
	l.done.Wait()
	lost := l.sent.Load() - l.good.Load()
	line := fmt.Sprintf("lost %d of %d requests in %.1fs to %s; sent again %d, slowest %s, answers of %d pods", lost, l.sent.Load(),
		time.Since(l.began).Seconds(), l.to.URL, l.again.Load(), l.slowest.Round(time.Millisecond), len(l.pods))
	if lost == 0 && l.sent.Load() > 0 {
		l.t.Log(line)
		return
	}
	var reasons []string
	for _, r := range slices.Sorted(maps.Keys(l.lost)) {
		reasons = append(reasons, fmt.Sprintf("%d times %s", l.lost[r], r))
	}
	l.t.Errorf("%s: %s", line, strings.Join(reasons, "; "))
}

// after waits until so many more requests were answered well: what was done has been under load.
func (l *load) after(n int64) {
	l.t.Helper()
	from := l.good.Load()
	eventually(l.t, time.Minute, func() string {
		if got := l.good.Load() - from; got < n {
			return fmt.Sprintf("%d of %d requests were answered", got, n)
		}
		return ""
	})
}
