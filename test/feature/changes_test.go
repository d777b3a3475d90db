package feature

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Routes, policies and Gateways come and go under load; nobody who asks for
// something else notices.
func TestChangesUnderLoad(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+key("good", "k-good", "")+Route("r", toAPI)+HostRoute("guarded", "guarded.example", toAPI)+
		Auth("a", "HTTPRoute/guarded", `rules: {authentication: {keys: {`+apiKeys+`}}, `+subject+`}`))
	var stop atomic.Bool
	var asked atomic.Int64
	var running sync.WaitGroup
	for n := range 8 {
		c := w.Client("")
		if n%4 == 3 {
			c = w.Client("", PriorKnowledge)
		}
		running.Go(func() {
			for i := 0; !stop.Load(); i++ {
				var a Answer
				var err error
				want := ""
				switch i % 3 {
				case 0:
					a, err = Fetch(c, "GET http://a/", "")
				case 1:
					a, err = Fetch(c, "POST http://guarded.example/", "hello", "x-api-key: k-good")
					want = "keys good-owner"
				case 2:
					a, err = Fetch(c, "GET http://guarded.example/", "")
					want = "401 auth_missing"
				}
				if err != nil || outcome(a) != want {
					t.Errorf("request %d: %v %s, want %q", i, err, outcome(a), want)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := range 60 {
		name := fmt.Sprint("extra-", i%5)
		extra := HostRoute(name, name+".example", `{matches: [{path: {value: /`+itoa(i)+`}}], backendRefs: [{name: api, port: 80}]}`)
		w.Apply(extra + Validation(name, "HTTPRoute/"+name, `rules: {checks: {it: {maxBodyBytes: `+itoa(i+1)+`}}}`))
		if a := w.Do("GET http://" + name + ".example/" + itoa(i)); a.Status != 200 {
			t.Errorf("change %d does not serve: %d", i, a.Status)
		}
		if i%3 == 2 {
			w.Delete(extra)
		}
		if i%10 == 0 {
			w.Apply(Gateway("other", `{name: http, protocol: HTTP, port: 8`+itoa(i+10)+`}`) + key("more-"+itoa(i), "k-"+itoa(i), ""))
		}
	}
	stop.Store(true)
	running.Wait()
	if n := asked.Load(); n < 100 {
		t.Errorf("only %d requests were made meanwhile", n)
	}
}

// A broken object is told in its status and changes nothing else.
func TestBrokenObjects(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+HostRoute("other", "other.example", toAPI))
	lines := func() string {
		var keep []string
		for line := range strings.Lines(w.Admin("/debug/table")) {
			if !strings.HasPrefix(line, "rejected ") {
				keep = append(keep, line)
			}
		}
		return strings.Join(keep, "")
	}
	before := lines()
	for _, broken := range []string{
		strings.Replace(HostRoute("broken", "broken.example", toAPI), "name: edge", "name: nowhere", 1),
		strings.Replace(HostRoute("broken", "broken.example", toAPI), "name: edge", "name: edge, sectionName: nowhere", 1),
		Auth("broken", "HTTPRoute/nowhere", `rules: {authorization: {it: {cel: "false"}}}`),
		Auth("broken", "HTTPRoute/r/nowhere", `rules: {authorization: {it: {cel: "false"}}}`),
		Gateway("broken", `{name: tls, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: nowhere}]}}`),
		"apiVersion: v1\nkind: Secret\nmetadata: {name: broken, namespace: shop, labels: {keys: shop}}\nstringData: {keyHash: x}\n---\n",
	} {
		w.Apply(broken)
		if after := lines(); after != before && !strings.Contains(broken, "kind: Gateway\n") {
			t.Errorf("the table became\n%s\nof\n%s\nby\n%s", after, before, broken)
		}
		for _, host := range []string{"a", "other.example"} {
			if a := w.Do("GET http://" + host + "/"); a.Status != 200 {
				t.Errorf("%s answers %d with %s", host, a.Status, broken)
			}
		}
		w.Delete(broken)
	}
	// A regular expression that cannot be compiled costs its own rule only.
	w.Apply(HostRoute("broken", "broken.example", `{matches: [{path: {type: RegularExpression, value: "/(a"}}], backendRefs: [{name: api, port: 80}]}`, `{matches: [{path: {value: /b}}], backendRefs: [{name: api, port: 80}]}`))
	goes := goesTo(t, w)
	goes("shop/api", "GET http://broken.example/b")
	goes("shop/api", "GET http://other.example/")
}

// A table the proxy cannot take leaves the last one in force.
func TestRefusedTable(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	before := w.Server.Applied().Generation
	bad := &table.Table{Listeners: []*table.Listener{{
		ID: "shop/edge/http", Port: 80, Protocol: table.HTTP,
		Hosts: []*table.Host{{Name: "*", Rules: []*table.Rule{{Match: table.Match{Path: table.PathMatch{Kind: table.PathRegex, Value: "("}}, Action: &table.Action{}}}}},
	}}}
	if err := w.Server.Swap(bad); err == nil {
		t.Fatal("it was taken")
	}
	if applied := w.Server.Applied(); applied.Err == nil || applied.Generation != before {
		t.Errorf("%+v", applied)
	}
	goesTo(t, w)("shop/api", "GET http://a/")
	if n := w.Metric("gatehouse_table_failures_total"); n != "1" {
		t.Errorf("counted %s times", n)
	}
	w.Apply(HostRoute("next", "next.example", toAPI))
	if applied := w.Server.Applied(); applied.Err != nil || applied.Generation == before {
		t.Errorf("after the next one: %+v", applied)
	}
}

// A listener that is taken away lets what is under way on it finish.
func TestListenersComeAndGo(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+Gateway("edge", `{name: http, protocol: HTTP, port: 80}`, `{name: more, protocol: HTTP, port: 81}`))
	more := w.Client("shop/edge/more")
	gate := make(chan struct{})
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, _ *http.Request) {
		<-gate
		_, _ = rw.Write([]byte("done"))
	})
	var running sync.WaitGroup
	running.Go(func() {
		if a, err := Fetch(more, "GET http://a/", ""); err != nil || a.Body != "done" {
			t.Errorf("under way: %v %d %s", err, a.Status, a.Body)
		}
	})
	w.Until("it is under way", func() bool { return w.Backend("shop/api").Asked() == 1 })
	w.Apply(Gateway("edge", `{name: http, protocol: HTTP, port: 80}`))
	close(gate)
	running.Wait()
	more.CloseIdleConnections()
	if _, err := Fetch(more, "GET http://a/", ""); err == nil {
		t.Error("the listener that is gone took a new connection")
	}
	if a := w.Do("GET http://a/"); a.Body != "done" {
		t.Errorf("the listener that stays: %d", a.Status)
	}
}
