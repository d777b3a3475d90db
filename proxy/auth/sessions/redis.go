package sessions

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Bounds of a Redis.
const (
	dialTimeout = time.Second
	askTimeout  = 500 * time.Millisecond
	rest        = 250 * time.Millisecond // after a failure nobody asks for so long
	buffer      = 32 << 10               // of its one connection, each way
)

// prefix keeps our keys apart from other programs'.
const prefix = "gatehouse:"

// errResting is the answer while a server that failed is left alone.
var errResting = errors.New("the session store failed a moment ago")

// Redis keeps values in a Redis (6.2 or later) or Valkey server. It connects when
// first asked, and again when the connection is lost. A server that fails is left
// alone for a moment, so that requests do not queue up behind it.
type Redis struct {
	option rueidis.ClientOption
	client atomic.Pointer[rueidis.Client]
	born   time.Time
	retry  atomic.Int64 // nanoseconds since born before which nobody asks
	mu     sync.Mutex   // one connects at a time
	closed bool
}

// NewRedis checks t. It does not connect. Errors hold nothing of the URL.
func NewRedis(t *table.Redis) (*Redis, error) {
	option, err := rueidis.ParseURL(string(t.URL))
	if err != nil || len(option.InitAddress) == 0 {
		return nil, errors.New("the session store's URL cannot be used; write redis://user:password@host:6379/0, or rediss:// for TLS")
	}
	if len(t.CA) > 0 {
		if option.TLSConfig == nil {
			return nil, errors.New("the session store has a CA and no TLS; write rediss:// in its URL, or remove the CA")
		}
		option.TLSConfig.RootCAs = x509.NewCertPool()
		if !option.TLSConfig.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("the session store's CA holds no certificate in PEM form")
		}
	}
	if option.TLSConfig != nil {
		option.TLSConfig.MinVersion = tls.VersionTLS12
	}
	option.ClientName = "gatehouse"
	option.Dialer = net.Dialer{Timeout: dialTimeout}
	option.ConnWriteTimeout = askTimeout
	option.DisableRetry, option.DisableCache, option.AlwaysRESP2 = true, true, true
	option.PipelineMultiplex = -1 // one connection
	option.RingScaleEachConn = 8
	option.ReadBufferEachConn, option.WriteBufferEachConn = buffer, buffer
	return &Redis{option: option, born: time.Now()}, nil
}

// Get is as Memory's.
func (r *Redis) Get(ctx context.Context, keys []Key, keep time.Duration) ([][]byte, error) {
	c, err := r.connected()
	if err != nil {
		return nil, err
	}
	commands := make([]rueidis.Completed, len(keys))
	for i, k := range keys {
		if i == 0 {
			commands[i] = c.B().Getex().Key(name(k)).PxMilliseconds(milliseconds(keep)).Build()
		} else {
			commands[i] = c.B().Get().Key(name(k)).Build()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out := make([][]byte, len(keys))
	for i, answer := range c.DoMulti(ctx, commands...) {
		value, err := answer.AsBytes()
		switch {
		case rueidis.IsRedisNil(err):
		case err != nil:
			return nil, r.failed(err)
		default:
			out[i] = value
		}
	}
	return out, nil
}

// Set is as Memory's.
func (r *Redis) Set(ctx context.Context, k Key, value []byte, keep time.Duration, when When) (bool, error) {
	c, err := r.connected()
	if err != nil {
		return false, err
	}
	set := c.B().Set().Key(name(k)).Value(mem.String(value))
	var command rueidis.Completed
	switch when {
	case Absent:
		command = set.Nx().PxMilliseconds(milliseconds(keep)).Build()
	case Present:
		command = set.Xx().PxMilliseconds(milliseconds(keep)).Build()
	default:
		command = set.PxMilliseconds(milliseconds(keep)).Build()
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err = c.Do(ctx, command).Error()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	return err == nil, r.failed(err)
}

// Delete is as Memory's.
func (r *Redis) Delete(ctx context.Context, k Key) error {
	c, err := r.connected()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return r.failed(c.Do(ctx, c.B().Del().Key(name(k)).Build()).Error())
}

// Close ends the connection. Nothing may be asked afterwards.
func (r *Redis) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if c := r.client.Load(); c != nil {
		(*c).Close()
	}
}

// connected returns the client, which is made when first asked for.
func (r *Redis) connected() (rueidis.Client, error) {
	if int64(time.Since(r.born)) < r.retry.Load() {
		return nil, errResting
	}
	if c := r.client.Load(); c != nil {
		return *c, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c := r.client.Load(); {
	case r.closed:
		return nil, errors.New("the session store is closed")
	case c != nil:
		return *c, nil
	case int64(time.Since(r.born)) < r.retry.Load():
		return nil, errResting
	}
	c, err := rueidis.NewClient(r.option)
	if err != nil {
		return nil, r.failed(err)
	}
	r.client.Store(&c)
	return c, nil
}

// failed notes that the server failed, if err says so. One that is full has not: it
// takes nothing new, and still says what it has.
func (r *Redis) failed(err error) error {
	if err == nil {
		return nil
	}
	if answer, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(answer.Error(), "OOM ") {
		return errors.New("the session store is full")
	}
	r.retry.Store(int64(time.Since(r.born) + rest))
	return fmt.Errorf("the session store failed: %w", err)
}

func name(k Key) string { return prefix + base64.RawURLEncoding.EncodeToString(k[:]) }

func milliseconds(d time.Duration) int64 { return max(1, d.Milliseconds()) }
