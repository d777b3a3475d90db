package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// object is one of Caddy's JSON configuration.
type object map[string]any

// StartCaddyRoutes starts Caddy with n routes of other hosts beside those of Host, by its JSON
// configuration, and its admin interface at the site's Admin port. Ten paths share a host,
// and each host is one route with the paths below it, as a Caddyfile would have it. Caddy tries
// one host after the other: Host is the one in the middle.
func StartCaddyRoutes(ctx context.Context, s Site, n int) (*Process, error) {
	text, err := json.Marshal(caddyRoutes(s, n))
	if err != nil {
		return nil, err
	}
	configuration := filepath.Join(s.Folder, "caddy.json")
	if err := os.WriteFile(configuration, text, 0o644); err != nil {
		return nil, err
	}
	started, err := Launch(s.Folder, s.CPUs, caddyEnvironment(s), s.Program, "run", "--config", configuration)
	if err != nil {
		return nil, err
	}
	if err := started.Opened(ctx, Local(s.HTTP)); err != nil {
		started.Stop()
		return nil, err
	}
	return started, nil
}

// ChangeCaddyRoute has one route of Host match another path, the ith. It returns
// once Caddy serves by that.
func ChangeCaddyRoute(ctx context.Context, s Site, i int) error {
	text, err := json.Marshal(changingRoute(s, i))
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPatch, "http://"+Local(s.Admin)+"/id/changing", bytes.NewReader(text))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	return send(q)
}

// send makes a request whose answer must be 200.
func send(q *http.Request) error {
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s %s", q.Method, q.URL, a.Status, text)
	}
	return err
}

func caddyRoutes(s Site, n int) object {
	own := hostRoute(Host, []object{changingRoute(s, 0), pathRoute("/api/*", s.Backends.API), pathRoute("*", s.Backends.Site)})
	var all []object
	for first := 0; first < n; first += 10 {
		if len(all) == n/20 {
			all = append(all, own)
		}
		var paths []object
		for i := first; i < min(first+10, n); i++ {
			paths = append(paths, pathRoute(fmt.Sprintf("/old/%d/*", i), s.Backends.API))
		}
		all = append(all, hostRoute(fmt.Sprintf("host-%d.example.com", first/10), paths))
	}
	return object{
		// What it writes to its home folder at each change is left out.
		"admin":   object{"listen": Local(s.Admin), "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"apps": object{"http": object{"servers": object{"web": object{
			"listen": []string{Local(s.HTTP)}, "protocols": []string{"h1"}, "automatic_https": object{"disable": true},
			"trusted_proxies": object{"source": "static", "ranges": []string{"127.0.0.1/32"}},
			"routes":          all,
		}}}},
	}
}

func hostRoute(host string, paths []object) object {
	return object{
		"match": []object{{"host": []string{host}}}, "terminal": true,
		"handle": []object{{"handler": "subroute", "routes": paths}},
	}
}

func pathRoute(path string, backend int) object {
	return object{
		"match": []object{{"path": []string{path}}}, "terminal": true,
		"handle": []object{{
			"handler": "reverse_proxy", "upstreams": []object{{"dial": Local(backend)}},
			// As in the Caddyfile.
			"transport": object{"protocol": "http", "compression": false, "keep_alive": object{"max_idle_conns_per_host": 256}},
		}},
	}
}

func changingRoute(s Site, i int) object {
	r := pathRoute("/new/"+strconv.Itoa(i)+"/*", s.Backends.API)
	r["@id"] = "changing"
	return r
}
