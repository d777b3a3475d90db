package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a RoundTripper.
type service func(r *http.Request) (*http.Response, error)

func (s service) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

func says(status int, content string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(content))}
}

func get(ctx context.Context, t testing.TB, uri string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnswers(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", 101))
		case "/slow":
			<-r.Context().Done()
		case "/head":
			w.Header().Set("X-Large", strings.Repeat("x", maxHead))
		default:
			_, _ = io.WriteString(w, strings.Repeat("x", 100))
		}
	}))
	defer s.Close()
	c := NewClient(Config{Timeout: 200 * time.Millisecond, MaxAnswer: 100})
	defer c.Close()
	ask := func(path string) (*Answer, error) { return c.Do(get(t.Context(), t, s.URL+path)) }
	if a, err := ask("/"); err != nil || a.Status != 200 || len(a.Content) != 100 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := ask("/moved"); err != nil || a.Status != 302 {
		t.Errorf("a redirect: %+v, %v", a, err)
	}
	if _, err := ask("/large"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large answer: %v", err)
	}
	if _, err := ask("/slow"); !timeout(err) {
		t.Errorf("a slow answer: %v", err)
	}
	if _, err := ask("/head"); err == nil || timeout(err) {
		t.Errorf("a large head: %v", err)
	}
}

func TestClientIsBounded(t *testing.T) {
	enough := make(chan struct{})
	c := NewClient(Config{Calls: 2, Transport: service(func(*http.Request) (*http.Response, error) {
		<-enough
		return says(200, ""), nil
	})})
	defer c.Close()
	errs := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := c.Do(get(t.Context(), t, "http://x"))
			errs <- err
		}()
	}
	if err := <-errs; !errors.Is(err, ErrBusy) {
		t.Errorf("the third: %v", err)
	}
	close(enough)
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, down := 0, true
		c := NewClient(Config{Patience: 3, Backoff: Backoff{First: time.Second, Last: 8 * time.Second}, Transport: service(func(*http.Request) (*http.Response, error) {
			asked++
			if down {
				return nil, errors.New("connection refused")
			}
			return says(200, ""), nil
		})})
		ask := func() error {
			_, err := c.Do(get(t.Context(), t, "http://x"))
			return err
		}
		for range 600 { // a minute
			_ = ask()
			time.Sleep(100 * time.Millisecond)
		}
		// 3, then after 1, 2, 4, 8, 8... seconds.
		if asked < 10 || asked > 16 {
			t.Errorf("asked %d times in a minute", asked)
		}
		_ = ask() // it may be this one's turn
		if err := ask(); !errors.Is(err, ErrResting) {
			t.Errorf("while it rests: %v", err)
		}
		down = false
		time.Sleep(8 * time.Second)
		for range 10 {
			if err := ask(); err != nil {
				t.Errorf("once it is back: %v", err)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		down = true
		for range 10 {
			_, _ = c.Do(get(gone, t, "http://x"))
		}
		down = false
		if err := ask(); err != nil {
			t.Errorf("callers that give up count against the service: %v", err)
		}
	})
}

// TestLargeAnswersAreNoFailures: what is asked, or about whom, makes an answer too
// large; the service answers others.
func TestLargeAnswersAreNoFailures(t *testing.T) {
	size := 0
	c := NewClient(Config{Patience: 2, MaxAnswer: 10, Transport: service(func(*http.Request) (*http.Response, error) {
		return says(200, strings.Repeat("x", size)), nil
	})})
	defer c.Close()
	for size = 8; size < 16; size++ {
		if _, err := c.Do(get(t.Context(), t, "http://x")); errors.Is(err, ErrTooLarge) != (size > 10) || errors.Is(err, ErrResting) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	size = 1
	if _, err := c.Do(get(t.Context(), t, "http://x")); err != nil {
		t.Error(err)
	}
}

// TestRestIsOver: an answer that comes just when another call is found to be one
// failure too many ends the rest too, sooner or later.
func TestRestIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down, between bool
		var c *Client
		ask := func() error {
			_, err := c.Do(get(t.Context(), t, "http://x"))
			return err
		}
		c = NewClient(Config{Patience: 1, Timeout: 10 * time.Second, Backoff: Backoff{First: time.Second, Last: time.Second}, Now: func() time.Time {
			if between { // the failure has been counted, and the rest has not begun
				down, between = false, false
				if err := ask(); err != nil {
					t.Error(err)
				}
			}
			return time.Now()
		}, Transport: service(func(*http.Request) (*http.Response, error) {
			if down {
				between = true
				return nil, errors.New("connection refused")
			}
			return says(200, ""), nil
		})})
		down = true
		_ = ask()
		time.Sleep(time.Second)
		for range 3 {
			if err := ask(); err != nil {
				t.Errorf("once it is back: %v", err)
			}
		}
	})
}

// source is what a cache is filled from, in a bubble of fake time.
type source struct {
	*Cache[string]
	asked atomic.Int32
	takes time.Duration
	value string
	life  Life
	err   error
}

func (s *source) load(key string) string {
	if v, ok := s.Get(key); ok {
		return v
	}
	v, err := s.Load(context.Background(), key, func(context.Context) (string, Life, error) {
		s.asked.Add(1)
		time.Sleep(s.takes)
		return s.value, s.life, s.err
	})
	if err != nil {
		return err.Error()
	}
	return v
}

func scene(t *testing.T, c CacheConfig, play func(t *testing.T, s *source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &source{Cache: NewCache[string](c)}
		defer s.Close()
		play(t, s)
	})
}

func (s *source) is(t *testing.T, key, want string, asked int32) {
	t.Helper()
	if got := s.load(key); got != want {
		t.Errorf("%s: %q, want %q", key, got, want)
	}
	synctest.Wait()
	if n := s.asked.Swap(0); n != asked {
		t.Errorf("%s: asked %d times, want %d", key, n, asked)
	}
}

func TestLives(t *testing.T) {
	scene(t, CacheConfig{}, func(t *testing.T, s *source) {
		s.value, s.life = "one", Life{Fresh: time.Minute, Stale: time.Hour}
		s.is(t, "k", "one", 1)
		s.value = "two"
		time.Sleep(59 * time.Second)
		s.is(t, "k", "one", 0)
		time.Sleep(time.Second)
		s.is(t, "k", "one", 1) // and fetched meanwhile
		s.is(t, "k", "two", 0)
		time.Sleep(2 * time.Hour)
		s.value = "three"
		s.is(t, "k", "three", 1)
		s.Drop("k")
		s.is(t, "k", "three", 1)
		s.life = Life{}
		s.is(t, "unkept", "three", 1)
		s.is(t, "unkept", "three", 1)
	})
}

// An answer to spare is asked for again before it is used, and used only where
// that fails.
func TestSpare(t *testing.T) {
	scene(t, CacheConfig{Backoff: Backoff{First: time.Second, Last: 16 * time.Second}}, func(t *testing.T, s *source) {
		s.value, s.life = "one", Life{Fresh: time.Minute, Spare: time.Hour}
		s.is(t, "k", "one", 1)
		time.Sleep(time.Minute)
		s.value = "two"
		s.is(t, "k", "two", 1)
		time.Sleep(2 * time.Minute)
		s.err = errors.New("down")
		s.is(t, "k", "two", 1)
		s.is(t, "k", "two", 0)
		for range 3000 {
			if got := s.load("k"); got != "two" {
				t.Fatalf("got %q", got)
			}
			time.Sleep(time.Second)
		}
		if n := s.asked.Swap(0); n < 3000/17 || n > 3000/12 {
			t.Errorf("%d fetches in 3000 s of failing", n)
		}
		time.Sleep(17 * time.Second)
		synctest.Wait()
		s.takes = 5 * time.Second // whoever asks while it is slow does not wait for it
		start := time.Now()
		if got := s.load("k"); got != "two" || time.Since(start) > 0 {
			t.Errorf("%q after %v", got, time.Since(start))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s.value, s.err, s.takes = "three", nil, 0
		s.load("k")
		synctest.Wait()
		s.asked.Store(0)
		s.is(t, "k", "three", 0)
		s.err = errors.New("down")
		time.Sleep(61*time.Minute + time.Second)
		s.is(t, "k", "down", 1)
	})
}

func TestFailures(t *testing.T) {
	scene(t, CacheConfig{Backoff: Backoff{First: time.Second, Last: 16 * time.Second}}, func(t *testing.T, s *source) {
		s.err = errors.New("down")
		s.is(t, "k", "down", 1)
		for range 100 {
			s.is(t, "k", "down", 0)
		}
		for range 640 {
			s.load("k")
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.asked.Swap(0); n < 5 || n > 9 { // 1, 2, 4, 8, 16, 16... less a fifth at most
			t.Errorf("%d fetches in 64 s of failing", n)
		}
		s.value, s.err, s.life = "up", nil, Life{Fresh: time.Minute, Stale: time.Hour}
		time.Sleep(16 * time.Second)
		s.is(t, "k", "up", 1)

		// The last answer known stays as long as it is good.
		s.err = errors.New("down")
		time.Sleep(time.Minute)
		s.is(t, "k", "up", 1)
		for range 3000 {
			if got := s.load("k"); got != "up" {
				t.Fatalf("got %q", got)
			}
			time.Sleep(time.Second)
		}
		if n := s.asked.Swap(0); n < 3000/17 || n > 3000/12 {
			t.Errorf("%d fetches in 3000 s of failing", n)
		}
		time.Sleep(time.Hour)
		s.is(t, "k", "down", 1)
	})
}

func TestSingleFlight(t *testing.T) {
	scene(t, CacheConfig{Fetches: 2}, func(t *testing.T, s *source) {
		s.takes, s.value, s.life = time.Second, "v", Life{Fresh: time.Minute}
		for i := range 50 {
			go s.load(fmt.Sprint("k", i%2))
		}
		synctest.Wait()
		if n := s.asked.Load(); n != 2 {
			t.Errorf("asked %d times for 2 keys", n)
		}
		if got := s.load("third"); got != ErrBusy.Error() {
			t.Errorf("the third key: %s", got)
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Load(gone, "k0", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that waits no longer: %v", err)
		}
		time.Sleep(time.Second)
		s.asked.Store(0)
		s.is(t, "k0", "v", 0)
		s.is(t, "k1", "v", 0)
		s.is(t, "third", "v", 1)
	})
}

// No two lists of parts make one key.
func TestAppendPart(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a", "b"}, {"ab"}, {"", "ab"}, {"ab", ""}, {"a:b"}, {":a:b"}, {"a", ":b"}, {"a1:b"}, {"1:a1:b"}} {
		var key []byte
		for _, p := range parts {
			key = AppendPart(key, p)
		}
		if before, twice := seen[string(key)]; twice {
			t.Errorf("%q and %q are both %q", before, parts, key)
		}
		seen[string(key)] = parts
	}
}

func TestCacheIsBounded(t *testing.T) {
	scene(t, CacheConfig{Size: 64, MaxKey: 16}, func(t *testing.T, s *source) {
		s.value, s.life = "v", Life{Fresh: time.Minute}
		for i := range 10_000 {
			s.load(fmt.Sprint("k", i))
		}
		held := 0
		for i := range s.slots {
			if s.slots[i].Load() != nil {
				held++
			}
		}
		if held != 64 || len(s.flights) != 0 {
			t.Errorf("%d entries, %d flights", held, len(s.flights))
		}
		s.asked.Store(0)
		long := strings.Repeat("k", 17)
		s.is(t, long, "v", 1)
		s.is(t, long, "v", 1)
	})
}

// TestCacheTakesLittle: answers make room for newer ones, and one that would take much of the room is not kept.
func TestCacheTakesLittle(t *testing.T) {
	const room = 1 << 20
	scene(t, CacheConfig{Size: 4096, Bytes: room}, func(t *testing.T, s *source) {
		s.value, s.life = "v", Life{Fresh: time.Hour, Bytes: 8 << 10}
		for i := range 1000 {
			s.life.Bytes = 1 + (i*997)%(room/maxPart-overhead-8)
			s.is(t, fmt.Sprint("k", i), "v", 1)
			s.is(t, fmt.Sprint("k", i), "v", 0)
		}
		held, bytes := 0, 0
		for i := range s.slots {
			if e := s.slots[i].Load(); e != nil {
				held, bytes = held+1, bytes+e.bytes
			}
		}
		if int64(bytes) != s.bytes.Load() || bytes > room || bytes < room*9/10 {
			t.Errorf("%d entries of %d bytes; counted as %d", held, bytes, s.bytes.Load())
		}
		s.is(t, "k999", "v", 0)
		s.life.Bytes = room / maxPart
		s.Drop("k999")
		s.is(t, "k999", "v", 1)
		s.is(t, "k999", "v", 1)
		s.life = Life{Fresh: time.Second, Bytes: 10 << 10}
		s.is(t, "k999", "v", 1)
		time.Sleep(time.Second)
		s.life.Bytes = room
		s.is(t, "k999", "v", 1)
		s.is(t, "k999", "v", 1)
		for i := range s.slots {
			if e := s.slots[i].Load(); e != nil {
				s.Drop(e.key)
			}
		}
		if n := s.bytes.Load(); n != 0 {
			t.Errorf("an empty cache takes %d bytes", n)
		}
	})
}

// TestReplacedForGood: an answer that was replaced does not come back when the new
// one has given way to another key.
func TestReplacedForGood(t *testing.T) {
	scene(t, CacheConfig{Size: 2}, func(t *testing.T, s *source) {
		var keys []string // with the same two places
		for i := 0; len(keys) < 2; i++ {
			key := fmt.Sprint("k", i)
			if first, second := s.places(key); first != second {
				keys = append(keys, key)
			}
		}
		s.value, s.life = "another's", Life{Fresh: time.Hour}
		s.load(keys[1])
		s.value, s.life = "old", Life{Fresh: time.Minute, Stale: time.Hour}
		s.load(keys[0]) // in the second place
		s.Drop(keys[1])
		time.Sleep(time.Minute)
		s.value = "new"
		s.load(keys[0])
		synctest.Wait()
		s.value = "another's"
		s.load(keys[1])
		s.value = "new"
		if got := s.load(keys[0]); got != "new" {
			t.Errorf("got %q", got)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache[int](CacheConfig{})
		got := make(chan error)
		go func() {
			_, err := c.Load(t.Context(), "k", func(ctx context.Context) (int, Life, error) {
				<-ctx.Done()
				return 0, Life{}, ctx.Err()
			})
			got <- err
		}()
		synctest.Wait()
		go c.Close()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("a fetch under way: %v", err)
		}
		synctest.Wait()
		if _, err := c.Load(t.Context(), "k", nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// timeout reports whether a call failed because its time was over.
func timeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
