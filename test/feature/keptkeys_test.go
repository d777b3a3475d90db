package feature

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/replicas"
	"github.com/gatehouse-dev/gatehouse/controllers/keptkeys"
	"github.com/gatehouse-dev/gatehouse/proxy"
)

// A gateway that starts while the identity provider is gone goes by the keys that
// the one before fetched, which the ConfigMap has; it refuses nobody.
func TestKeysKeptAcrossRestart(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	cluster := fake.NewClientBuilder().Build()
	name := client.ObjectKey{Namespace: "gatehouse-system", Name: keptkeys.Name}
	keeper := func(server *proxy.Server) *keptkeys.Keeper {
		return keptkeys.New(replicas.KeySets(server, keptkeys.Options{
			Client: cluster, Namespace: name.Namespace, Log: logr.Discard(), Every: time.Millisecond, Rest: time.Millisecond,
		}))
	}
	objects := Base + Route("r", toAPI) + HostRoute("open", "open.example", toAPI) + Auth("a", guarded,
		`rules: {authentication: {staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop]}}}, `+subject+`}`)
	token := "authorization: Bearer " + issuer.Token()
	kept := func(w *World) string {
		return w.Metric(`gatehouse_key_set_kept{key_set="discovery ` + issuer.URL() + `"}`)
	}

	before := Start(t, objects)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = keeper(before.Server).Run(ctx) })
	before.Until("the key set is fetched", func() bool { return before.Do("GET http://a/", token).Status == 200 })
	config := &corev1.ConfigMap{}
	before.Until("it is kept", func() bool { return cluster.Get(ctx, name, config) == nil })
	stop()
	running.Wait()
	for _, text := range config.Data {
		if !strings.Contains(text, issuer.URL()) || strings.Contains(text, `"d":`) {
			t.Errorf("kept: %s", text)
		}
	}

	issuer.Down(true)
	after := start(t, objects, func(server *proxy.Server) { keeper(server).Saw(config) })
	c := after.Client("")
	served, refused := 0, 0
	after.Until("the issuer was asked", func() bool {
		for line, want := range map[string]string{"GET http://a/": "staff ann", "GET http://open.example/": ""} {
			if got := outcome(after.Over(c, line, "", token)); got == want {
				served++
			} else {
				t.Errorf("%s: %s", line, got)
				refused++
			}
		}
		return served+refused >= 100 && issuer.Asked() > 2
	})
	t.Logf("after the restart: %d requests served, %d refused", served, refused)
	if kept(before) != "0" || kept(after) != "1" {
		t.Errorf("kept: %s before, %s after", kept(before), kept(after))
	}
	// Whose key it does not have it cannot judge.
	a := after.Over(c, "GET http://a/", "", "authorization: Bearer "+issuer.Signed("newer"))
	if outcome(a) != "503 key_set_unavailable" || atoi(a.Header.Get("Retry-After")) < 1 {
		t.Errorf("an unknown key: %s %v", outcome(a), a.Header)
	}
	issuer.Down(false)
	after.Until("the keys are fetched", func() bool { return kept(after) == "0" })
	decides(t, after)("staff ann", "GET http://a/", token)
}
