package oidc

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/feature"
)

// Redis is a real server. It is Debian's package redis-server or valkey-server;
// REDIS_SERVER names another program.
type Redis struct {
	t       testing.TB
	dir     string
	port    string
	command *exec.Cmd
}

func redisProgram(t testing.TB) string {
	t.Helper()
	for _, name := range []string{os.Getenv("REDIS_SERVER"), "redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Fatal("no Redis: apt-get install redis-server, or name a program in REDIS_SERVER")
	return ""
}

// NewRedis starts one with a password.
func NewRedis(t testing.TB) *Redis {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	r := &Redis{t: t, dir: t.TempDir(), port: port}
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

// Start starts it with what it had saved.
func (r *Redis) Start() {
	r.t.Helper()
	r.command = exec.Command(redisProgram(r.t), "--port", r.port, "--bind", "127.0.0.1", "--requirepass", "planted-redis-password",
		"--dir", r.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no")
	if err := r.command.Start(); err != nil {
		r.t.Fatal(err)
	}
	until(r.t, "Redis listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+r.port)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// Stop ends it.
func (r *Redis) Stop() {
	if r.command != nil {
		_ = r.command.Process.Kill()
		_ = r.command.Wait()
		r.command = nil
	}
}

// Tell has it carry out a command.
func (r *Redis) Tell(command string) {
	r.t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+r.port)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	answer := make([]byte, len("+OK\r\n+OK\r\n"))
	if _, err = c.Write([]byte("AUTH planted-redis-password\r\n" + command + "\r\n")); err == nil {
		_, err = io.ReadFull(c, answer)
	}
	if err != nil || string(answer) != "+OK\r\n+OK\r\n" {
		r.t.Fatalf("%q: %v", answer, err)
	}
}

// Saved is everything it has ever been told.
func (r *Redis) Saved() string {
	r.t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out.Write(b)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.String()
}

const inRedis = "session: {store: {redis: {secretRef: {name: sessions}}}}"

func (r *Redis) secret() string {
	return secret("sessions", "url", fmt.Sprintf("redis://:planted-redis-password@127.0.0.1:%s/3", r.port))
}

func startShared(t testing.TB, p *Provider, r *Redis, more string) *feature.World {
	t.Helper()
	return feature.Start(t, feature.Base+secret("client", "client-secret", clientSecret)+r.secret()+
		route("shop", "shop.example", "/app")+route("open", "open.example", "/")+policy(p, inRedis+more))
}

// Replicas share sessions, and a login that begins at one may end at the other.
func TestReplicas(t *testing.T) {
	p, r := NewProvider(t, callback), NewRedis(t)
	one, two := startShared(t, p, r, ""), startShared(t, p, r, "")
	ready(t, NewBrowser(t, one))
	ready(t, NewBrowser(t, two))
	b := NewBrowser(t, one, two) // every other connection
	in(t, b)
	for range 6 {
		still(t, b, "in turn")
	}
	saved := r.Saved()
	if !strings.Contains(saved, "gatehouse:") {
		t.Fatal("nothing is in Redis")
	}
	for _, secret := range append(p.tokens, clientSecret, cookie(t, b).Value, subject+"\"") {
		if strings.Contains(saved, secret) {
			t.Errorf("Redis has %.20s… in the clear", secret)
		}
	}
	// Logged out at one, a second later at the most it is over at the other.
	old := cookie(t, b)
	at := NewBrowser(t, one)
	at.client.Jar = b.client.Jar
	at.Stay(func() { at.Get("http://shop.example/logout") })
	began := time.Now()
	elsewhere := NewBrowser(t, two)
	until(t, "the other replica knows", func() bool {
		page := elsewhere.Get(app, "Cookie", old.Name+"="+old.Value)
		return page.User() == ""
	})
	if d := time.Since(began); d > 1500*time.Millisecond {
		t.Errorf("it took %v", d)
	}
}

// Sessions outlive the gateway.
func TestRestart(t *testing.T) {
	p, r := NewProvider(t, callback), NewRedis(t)
	var b *Browser
	t.Run("first", func(t *testing.T) {
		b = NewBrowser(t, startShared(t, p, r, ""))
		in(t, b)
	})
	w := startShared(t, p, r, "")
	jar := b.client.Jar
	b = NewBrowser(t, w)
	b.client.Jar = jar
	until(t, "the session is known", func() bool { return b.Get(app).User() == subject })
	if n := p.Calls("/oauth/token"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// Without Redis sessions that were in use go on for a while; others are answered
// 503, and nothing is lost when it is back.
func TestRedisDown(t *testing.T) {
	p, r := NewProvider(t, callback), NewRedis(t)
	w := startShared(t, p, r, "")
	b, idle := NewBrowser(t, w), NewBrowser(t, w)
	in(t, b)
	in(t, idle)
	fresh := startShared(t, p, r, "") // it has seen neither session
	form := ready(t, NewBrowser(t, fresh))
	_ = form
	r.Stop()
	for range 20 {
		still(t, b, "without Redis")
		time.Sleep(100 * time.Millisecond)
	}
	unknown := NewBrowser(t, fresh)
	unknown.client.Jar = idle.client.Jar
	began := time.Now()
	if page := unknown.Get(app); page.Status != 503 || page.Code() != "session_store_unavailable" || page.Header.Get("Retry-After") == "" {
		t.Errorf("a session nobody has seen: %d %s", page.Status, page.Code())
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
	other(t, unknown)
	late := NewBrowser(t, w)
	if page := late.LogIn(late.Get(app)); page.Status != 503 || page.Code() != "session_store_unavailable" {
		t.Errorf("a login: %d %s", page.Status, page.Code())
	}
	r.Start()
	until(t, "sessions are back", func() bool { return unknown.Get(app).User() == subject })
	// The other gateway finds that out by itself.
	until(t, "logins are back", func() bool { return late.LogIn(late.Get(app)).User() == subject })
}

// A server that is full takes no logins, and sessions go on, also those that a
// gateway has not seen.
func TestRedisFull(t *testing.T) {
	p, r := NewProvider(t, callback), NewRedis(t)
	one, two := startShared(t, p, r, ""), startShared(t, p, r, "")
	b, late, elsewhere := NewBrowser(t, one), NewBrowser(t, two), NewBrowser(t, two)
	in(t, b)
	form := ready(t, late)
	elsewhere.client.Jar = b.client.Jar
	r.Tell("CONFIG SET maxmemory 1")
	if page := late.LogIn(form); page.Status != 503 || page.Code() != "session_store_unavailable" {
		t.Errorf("a login: %d %s", page.Status, page.Code())
	}
	still(t, elsewhere, "with a Redis that is full")
	r.Tell("CONFIG SET maxmemory 0")
	in(t, late)
}

// A refresh token is used once, whichever replica is asked.
func TestReplicasRefreshOnce(t *testing.T) {
	p, r := NewProvider(t, callback), NewRedis(t)
	var now clock
	world := func() *feature.World {
		return feature.Start(t, feature.Base+secret("client", "client-secret", clientSecret)+r.secret()+
			route("shop", "shop.example", "/app")+policy(p, inRedis+"\n          forwardAccessToken: {}"), now.set)
	}
	one, two := world(), world()
	ready(t, NewBrowser(t, two))
	b := NewBrowser(t, one, two)
	in(t, b)
	for range 4 {
		still(t, b, "before")
	}
	now.pass(4*time.Minute + 40*time.Second)
	before := p.Calls("/oauth/token")
	results := make(chan string, 16)
	for i := range 16 {
		w := []*feature.World{one, two}[i%2]
		tab := NewBrowser(t, w)
		tab.client.Jar = b.client.Jar
		go func() { results <- tab.Get(app).User() }()
	}
	for range 16 {
		if got := <-results; got != subject {
			t.Errorf("%q", got)
		}
	}
	if n := p.Calls("/oauth/token") - before; n != 1 {
		t.Errorf("%d refreshes", n)
	}
}
