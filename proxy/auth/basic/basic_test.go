package basic

import (
	"encoding/base64"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func argon(password string) string {
	salt := []byte("0123456789abcdef")
	sum := argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)
	return "$argon2id$v=19$m=64,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}

// The SHA-crypt lines were made by openssl passwd and by glibc's crypt.
func TestVerify(t *testing.T) {
	is := func(hash, password string, want bool) {
		t.Helper()
		v, err := parseHash(hash)
		if err != nil {
			t.Errorf("%s: %v", hash, err)
			return
		}
		if got := v.verify([]byte(password)); got != want {
			t.Errorf("%s %q: %v", hash, password, got)
		}
	}
	long := "a very much longer text to encrypt.  This one even stretches over morethan one line."
	is("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!", true)
	is("$5$ab$.AgIrRzMNXeXrMeKrtSlBbcQYXwZinoOgN4Yp9WPwa4", "Hello world!", true)
	is("$6$ab$1h5XbX0k.E/E7u1oXKhw/UjXxC5x9iTulpUx8nSowglJZnHEgJpTO4El2yPYGg5/n5UcfflvWgbabQYGH9Yzp.", "Hello world!", true)
	is("$6$ab$1h5XbX0k.E/E7u1oXKhw/UjXxC5x9iTulpUx8nSowglJZnHEgJpTO4El2yPYGg5/n5UcfflvWgbabQYGH9Yzp.", "Hello world", false)
	is("$6$rounds=1400$anotherlongsalts$5FGyu8c4BZDX4wJgs0Un26YOw2XibT5eTkHF1I1aP3QqStoJI9BHD2YPJYsAjEePVGUyBjdZxcNqMWlrrbIOC.", "Hello world!", true)
	is("$6$rounds=1400$anotherlongsaltstring$5FGyu8c4BZDX4wJgs0Un26YOw2XibT5eTkHF1I1aP3QqStoJI9BHD2YPJYsAjEePVGUyBjdZxcNqMWlrrbIOC.", "Hello world!", true)
	is("$5$rounds=1400$anotherlongsalts$Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1", long, true)
	is("$5$rounds=1400$anotherlongsalts$Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1", long[1:], false)
	is("$2y$04$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK", "Hello world!", true)
	is("$2y$04$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK", "hello world!", false)
	is("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password", true)
	is("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "Password", false)
	is(argon("secret"), "secret", true)
	is(argon("secret"), "secre", false)
	is(argon(""), "", true)
}

func TestValidateHash(t *testing.T) {
	fails := func(hash, want string) {
		t.Helper()
		err := ValidateHash([]byte(hash))
		if err == nil || !strings.Contains(err.Error(), want) || len(hash) > 8 && strings.Contains(err.Error(), hash) {
			t.Errorf("%s: %v, want %q", hash, err, want)
		}
	}
	fails("", "of no kind")
	fails("plain text password", "use bcrypt")
	fails("$apr1$x$y", "use bcrypt")
	fails("$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAA", "use bcrypt")
	fails("$2y$04$short", "malformed")
	fails("$2y$04$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmKK", "malformed")
	fails("$2y$15$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK", "use at most 14")
	fails("$5$", "cut off")
	fails("$6$ab", "cut off")
	fails("$6$ab$short", "cut off")
	fails("$6$rounds=999999999$ab$"+strings.Repeat("a", 86), "use 1000 to 200000")
	fails("$6$rounds=999$ab$"+strings.Repeat("a", 86), "use 1000 to 200000")
	fails("$6$rounds=x$ab$"+strings.Repeat("a", 86), "use 1000 to 200000")
	fails("{SHA}AAAA", "malformed")
	fails("{SHA}???", "malformed")
	fails("$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng", "malformed")
	fails("$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng", "malformed")
	fails("$argon2id$v=19$m=64,t=1,p=1x$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng", "malformed")
	fails("$argon2id$v=19$m=64,t=1,p=0$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng", "malformed")
	fails("$argon2id$v=19$m=64,t=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng", "malformed")
	fails("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ", "malformed")
	fails("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbA$MTIzNDU2Nzg5MDEyMzQ1Ng", "malformed")
	fails("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0?$MTIzNDU2Nzg5MDEyMzQ1Ng", "malformed")
	fails("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$", "malformed")
	fails("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng?", "malformed")
	fails("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$"+strings.Repeat("A", 87), "malformed")
	fails("$argon2id$v=19$m=1048576,t=1,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng", "use at most")
	fails("$argon2id$v=19$m=64,t=100,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng", "use at most")
	fails("$argon2id$v=19$m=64,t=1,p=200$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng", "use at most")
	if err := ValidateHash([]byte(argon("x"))); err != nil {
		t.Error(err)
	}
}

// place is the one place credentials stand in here.
type place struct{}

func (place) Find(x *exchange.Exchange) (string, auth.Outcome) {
	if v, ok := x.Request.Header.Get("authorization"); ok {
		return v, auth.Accepted
	}
	return "", auth.Absent
}
func (place) Strip(x *exchange.Exchange) { x.Request.Header.Del("authorization") }

func method(now func() time.Time) *Method {
	return New(NewUsers(&table.Basic{Realm: `my "shop"`, Users: []table.BasicUser{
		{Name: "ann", Hash: table.Secret(argon("secret"))},
		{Name: "ann", Hash: table.Secret(argon("second"))},
		{Name: "bob", Hash: table.Secret("garbage")},
		{Name: "bob", Hash: table.Secret(argon("garbage"))},
		{Name: "eve", Hash: table.Secret(argon("a:b"))},
		{Name: "tab", Hash: table.Secret(argon("a\tb"))},
		{Name: "del", Hash: table.Secret(argon("a\x7f"))},
		{Name: "nil", Hash: table.Secret(argon(""))},
		{Name: "max", Hash: table.Secret(argon(strings.Repeat("x", maxPassword)))},
	}}), place{}, NewChecker(now))
}

func authenticate(m *Method, value string) (auth.Result, string) {
	x := &exchange.Exchange{}
	if value != "" {
		x.Request.Header.Add("Authorization", value)
	}
	r := m.Authenticate(x, &x.Principal)
	return r, x.Principal.Subject
}

func TestAuthenticate(t *testing.T) {
	m := method(time.Now)
	encode := base64.StdEncoding.EncodeToString
	is := func(value, subject, code string) {
		t.Helper()
		for range 2 {
			r, got := authenticate(m, value)
			if got != subject || r.Code != code || (r.Outcome == auth.Accepted) != (subject != "") {
				t.Errorf("%q: %+v, %q", value, r, got)
			}
		}
	}
	is(encode([]byte("ann:secret")), "ann", "")
	is(encode([]byte("eve:a:b")), "eve", "")
	is(encode([]byte("ann:second")), "", auth.CodeBasicInvalid)
	is(encode([]byte("ann:")), "", auth.CodeBasicInvalid)
	is(encode([]byte("bob:garbage")), "", auth.CodeBasicInvalid)
	is(encode([]byte("nobody:secret")), "", auth.CodeBasicInvalid)
	is(encode([]byte(":")), "", auth.CodeBasicInvalid)
	is(encode([]byte("ann")), "", auth.CodeBasicInvalid)
	is(encode([]byte("ann:secret\x00")), "", auth.CodeBasicInvalid)
	is(encode([]byte("tab:a\tb")), "", auth.CodeBasicInvalid)
	is(encode([]byte("del:a\x7f")), "", auth.CodeBasicInvalid)
	is(encode([]byte("nil:")), "nil", "")
	is(encode([]byte("nil")), "", auth.CodeBasicInvalid)
	is(encode([]byte("max:"+strings.Repeat("x", maxPassword))), "max", "")
	is(encode([]byte("max:"+strings.Repeat("x", maxPassword+1))), "", auth.CodeBasicInvalid)
	is("not base64", "", auth.CodeBasicInvalid)
	is(encode([]byte("ann:secret"))+"\n", "", auth.CodeBasicInvalid)
	is(encode([]byte("ann:secret"))+"?", "", auth.CodeBasicInvalid)
	is("", "", "")
	if m.Challenge() != `Basic realm="my \"shop\"", charset="UTF-8"` {
		t.Error(m.Challenge())
	}
}

func TestRemembered(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	m := method(func() time.Time { return clock })
	slow := 0
	u := m.users.byName["ann"]
	u.verifier = counting{u.verifier, &slow}
	try := func(want int) {
		t.Helper()
		if yes, ok := m.checker.check(u, "secret"); !yes || !ok || slow != want {
			t.Errorf("%v, %v after %d hashes, want %d", yes, ok, slow, want)
		}
	}
	try(1)
	try(1)
	clock = clock.Add(remember - 1)
	try(1)
	clock = clock.Add(1)
	try(2)
	// A changed hash is another user.
	u.identity[0]++
	try(3)
}

// Passwords that share a place are not taken for each other.
func TestRememberedPlace(t *testing.T) {
	c := NewChecker(time.Now)
	u := method(time.Now).users.byName["ann"]
	if yes, ok := c.check(u, "secret"); !yes || !ok {
		t.Fatalf("%v, %v", yes, ok)
	}
	right := c.digest(u, "secret")
	for i := range 100 * places {
		wrong := strconv.Itoa(i)
		if digest := c.digest(u, wrong); c.place(&digest) == c.place(&right) {
			if yes, ok := c.check(u, wrong); yes || !ok {
				t.Errorf("%q: %v, %v", wrong, yes, ok)
			}
			return
		}
	}
	t.Fatal("no other password for the place")
}

// Without users nobody logs in.
func TestNoUsers(t *testing.T) {
	m := New(NewUsers(&table.Basic{Users: []table.BasicUser{{Name: "bob", Hash: table.Secret("garbage")}}}), place{}, NewChecker(time.Now))
	if r, _ := authenticate(m, base64.StdEncoding.EncodeToString([]byte("bob:garbage"))); r.Code != auth.CodeBasicInvalid {
		t.Errorf("%+v", r)
	}
}

type counting struct {
	verifier
	n *int
}

func (c counting) verify(p []byte) bool { *c.n++; return c.verifier.verify(p) }

type blocking chan struct{}

func (b blocking) verify([]byte) bool { <-b; return false }

func TestFlood(t *testing.T) {
	c := NewChecker(time.Now)
	c.turns = make(chan struct{}, 1)
	gate := blocking(make(chan struct{}))
	u := &user{verifier: gate}
	var done sync.WaitGroup
	var mu sync.Mutex
	told, busy := 0, 0
	for range maxWaiting + 11 {
		done.Go(func() {
			_, ok := c.check(u, "x")
			mu.Lock()
			defer mu.Unlock()
			if ok {
				told++
			} else {
				busy++
			}
		})
	}
	time.Sleep(2 * maxWait)
	close(gate)
	done.Wait()
	if told != 1 || busy != maxWaiting+10 {
		t.Errorf("%d told, %d busy", told, busy)
	}
}

// A flood must leave processors to requests that need no hash.
func TestTurns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for processors, want := range map[int]int{1: 1, 2: 1, 4: 2} {
		runtime.GOMAXPROCS(processors)
		if got := cap(NewChecker(time.Now).turns); got != want {
			t.Errorf("%d processors: %d hash, want %d", processors, got, want)
		}
	}
}

// slow counts how often it is asked.
type slow struct{ asked int }

func (s *slow) verify([]byte) bool { s.asked++; return false }

// Where hashes cost differently, a name that nobody has must not always cost what
// one of them does: all that cost something else would be names of users.
func TestUnknownCostAsKnown(t *testing.T) {
	users := NewUsers(&table.Basic{Users: []table.BasicUser{
		{Name: "old", Hash: table.Secret("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=")},
		{Name: "ann", Hash: table.Secret("$2y$04$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK")},
	}})
	if len(users.nobodies) != 2 {
		t.Fatalf("%d stand for nobody", len(users.nobodies))
	}
	costly := &slow{}
	users.nobodies[1].verifier = costly
	m := New(users, place{}, NewChecker(time.Now))
	const names, times = 200, 2
	for i := range names {
		before := costly.asked
		for range times {
			if r, _ := authenticate(m, base64.StdEncoding.EncodeToString([]byte("u"+strconv.Itoa(i)+":x"))); r.Code != auth.CodeBasicInvalid {
				t.Fatalf("%+v", r)
			}
		}
		if n := costly.asked - before; n != 0 && n != times {
			t.Errorf("u%d is one or the other", i)
		}
	}
	if n := costly.asked / times; n < names/4 || n > names*3/4 {
		t.Errorf("%d of %d cost much", n, names)
	}
}

func TestRememberedAllocates(t *testing.T) {
	m := method(time.Now)
	x := &exchange.Exchange{}
	x.Request.Header.Add("Authorization", base64.StdEncoding.EncodeToString([]byte("ann:secret")))
	m.Authenticate(x, &x.Principal)
	if n := testing.AllocsPerRun(100, func() { x.Arena.Reset(); m.Authenticate(x, &x.Principal) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseHash(f *testing.F) {
	for _, s := range []string{"$5$ab$x", "$6$rounds=1000$a$b", "$2y$04$abc", "{SHA}AAAA", argon("x"), "$argon2id$v=19$m=64,t=1,p=1$$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		if v, err := parseHash(hash); (v == nil) == (err == nil) {
			t.Fatalf("%q: %v, %v", hash, v, err)
		}
	})
}
