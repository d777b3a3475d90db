package feature

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/admission"
)

// answered is what became of one of many requests.
type answered struct {
	status int
	code   string
	retry  string
	took   time.Duration
}

// storm sends requests from so many callers at once until the time is over.
func storm(w *World, callers int, d time.Duration, url string) (all []answered) {
	var mu sync.Mutex
	var running sync.WaitGroup
	until := time.Now().Add(d)
	for range callers {
		c := w.Client("")
		running.Go(func() {
			for time.Now().Before(until) {
				start := time.Now()
				a, err := Fetch(c, "GET "+url, "")
				if err != nil {
					w.t.Error(err)
					return
				}
				took := time.Since(start)
				if a.Status == 503 {
					time.Sleep(20 * time.Millisecond) // or the callers alone would take all of the machine
				}
				mu.Lock()
				all = append(all, answered{a.Status, a.Code(), a.Header.Get("Retry-After"), took})
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return all
}

// p99 is the time of those with the status, and how many they are.
func p99(all []answered, status int) (time.Duration, int) {
	var took []time.Duration
	for _, a := range all {
		if a.status == status {
			took = append(took, a.took)
		}
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)*99/100], len(took)
}

const twoServices = `
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {ports: [{port: 80}]}
---
`

// Three times what a backend can do is asked of it: what is let on is answered in
// time, and the rest is told at once.
func TestOverload(t *testing.T) {
	const able, work, soon = 8, 10 * time.Millisecond, time.Second // soon is for a busy machine: some 60 ms are what it takes
	w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) {
		o.Backends.Admission = admission.Config{Limit: able, Queue: able, Wait: 5 * work}
	})
	var most, now atomic.Int64
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(work)
		now.Add(-1)
		_, _ = io.WriteString(rw, "ok")
	})
	all := storm(w, 3*able, 2*time.Second, "http://a/")
	good, ok := p99(all, 200)
	shed, refused := p99(all, 503)
	t.Logf("%d answered, p99 %v; %d refused, p99 %v", ok, good, refused, shed)
	if ok < 100 || good > soon {
		t.Errorf("%d answered, p99 %v", ok, good)
	}
	if refused == 0 || shed > soon {
		t.Errorf("%d refused, p99 %v", refused, shed)
	}
	for _, a := range all {
		if a.status != 200 && (a.status != 503 || a.code != "backend_overloaded" || a.retry != "1") {
			t.Fatalf("%+v", a)
		}
	}
	if most.Load() > able {
		t.Errorf("the backend had %d requests at once, want %d", most.Load(), able)
	}
	if limit, n := w.Metric(`gatehouse_backend_requests_limit{backend="shop/api:80"}`), w.Metric(`gatehouse_backend_requests_refused_total{backend="shop/api:80"}`); limit != "8" || n != fmt.Sprint(refused) {
		t.Errorf("the metrics say limit %s, refused %s of %d", limit, n, refused)
	}
}

// A backend that hangs costs others neither time nor requests, and the gateway
// no more memory than its limit is for.
func TestOneBackendHangs(t *testing.T) {
	const limit = 200
	w := Start(t, Base+twoServices+Route("r", toAPI, `{matches: [{path: {value: /other}}], backendRefs: [{name: other, port: 80}]}`), func(o *proxy.Options) {
		o.Backends.Admission.Limit = limit
	})
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	defer release()
	var hanging atomic.Int64
	w.Backend("shop/api").Answer(func(http.ResponseWriter, *http.Request) {
		hanging.Add(1)
		<-hang
	})
	w.Backend("shop/other")
	quiet, _ := p99(storm(w, 4, time.Second, "http://a/other"), 200)

	before := heap()
	var stuck sync.WaitGroup
	var refused atomic.Int64
	for range 3 * limit {
		c := w.Client("")
		stuck.Go(func() {
			if a, _ := Fetch(c, "GET http://a/", ""); a.Status == 503 && a.Code() == "backend_overloaded" {
				refused.Add(1)
			}
		})
	}
	for deadline := time.Now().Add(10 * time.Second); hanging.Load() < limit || refused.Load() < 2*limit; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d hang and %d were refused, want %d and %d", hanging.Load(), refused.Load(), limit, 2*limit)
		}
	}
	each := (heap() - before) / limit
	all := storm(w, 4, time.Second, "http://a/other")
	beside, ok := p99(all, 200)
	t.Logf("p99 %v, beside %d that hang %v; each takes %d KiB, with the test's client and backend", quiet, limit, beside, each>>10)
	if ok != len(all) {
		t.Errorf("%d of %d answered", ok, len(all))
	}
	if beside > 5*quiet+20*time.Millisecond {
		t.Errorf("p99 %v, and beside a backend that hangs %v", quiet, beside)
	}
	if each > 256<<10 {
		t.Errorf("a request that hangs takes %d KiB", each>>10)
	}
	release()
	stuck.Wait()
	if a := w.Do("GET http://a/"); a.Status != 200 {
		t.Errorf("once it is over: %d %s", a.Status, a.Code())
	}
}

// heap is what is in use, stacks too.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// The process has a limit of its own, and says so in each caller's words.
func TestProcessLimit(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) {
		o.Clients.Requests, o.Backends.Admission.Limit = 1, -1
	})
	hang, begun := make(chan struct{}), make(chan struct{}, 1)
	w.Backend("shop/api").Answer(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-hang
	})
	done, c := make(chan int), w.Client("")
	go func() {
		a, _ := Fetch(c, "GET http://a/", "")
		done <- a.Status
	}()
	<-begun
	a := w.Do("GET http://a/")
	if a.Status != 503 || a.Code() != "overloaded" || a.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %s, Retry-After %q", a.Status, a.Code(), a.Header.Get("Retry-After"))
	}
	a = w.Over(w.Client("", PriorKnowledge), "POST http://a/", "", "Content-Type: application/grpc")
	if a.Status != 200 || a.Header.Get("Grpc-Status") != "14" || a.Header.Get("Grpc-Message") != "overloaded" {
		t.Errorf("gRPC: %d %v", a.Status, a.Header)
	}
	close(hang)
	if s := <-done; s != 200 {
		t.Errorf("who was first got %d", s)
	}
	w.Until("its place is free", func() bool { return w.Metric(`gatehouse_limit_in_use{limit="requests"}`) == "0" }) // which may be after its client has the answer
	for name, want := range map[string]string{
		`gatehouse_limit{limit="requests"}`: "1", `gatehouse_limit_refused_total{limit="requests"}`: "2",
		`gatehouse_limit{limit="connections"}`: "32768", `gatehouse_limit{limit="untaken"}`: "192", `gatehouse_limit{limit="heads"}`: "256",
	} {
		if got := w.Metric(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
