// Package metadata reads the cloud's metadata service.
//
// What it reads may be old: the service lags behind the cloud's own calls by
// seconds, and sometimes by an hour. It is good for finding out where we are, and
// for the keys of our role, and no reason to delete, detach or release anything;
// an import rule keeps it away from all that does (F05). So which NICs the instance
// has is not asked for.
package metadata

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/call"
	"github.com/nicferry/nicferry/nic"
)

// Identity is who the instance that asks is.
type Identity struct {
	Instance nic.InstanceID
	Type     string // such as m5.large
	Region   string
	Zone     string
	Account  string // empty where the cloud does not say
}

// Options are the parts of a Client.
type Options struct {
	Dialect Dialect      // required: EC2() or ECS()
	Log     *slog.Logger // required
	// BaseURL is where the service is, without a path; optional, the dialect's own.
	BaseURL string
	// Dial connects; optional, a net.Dialer. No proxy is ever used.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Patience bounds each request with what is tried again of it; optional, 2 s.
	Patience time.Duration
}

const (
	defaultPatience = 2 * time.Second
	// wholeCall bounds Identity, Role and Keys, in patiences.
	wholeCall = 5
	retries   = 3
)

// A Client reads one instance's metadata. Sessions have a token, always: without
// one it asks for nothing. It may be used concurrently.
type Client struct {
	Options
	calls *call.Client
	turn  chan struct{} // who holds it reads and writes what follows

	token    string
	tokenEnd time.Time
	identity *Identity // once known; an instance stays what it is while we run

	keysMu    sync.Mutex // over what follows, which is read without the turn
	keys      *Keys
	renewKeys time.Time // when others are asked for
}

// New makes a client; the error is about the options. Close ends its connections.
func New(opts Options) (*Client, error) {
	opts.BaseURL = strings.TrimSuffix(cmp.Or(opts.BaseURL, opts.Dialect.base), "/")
	opts.Patience = cmp.Or(opts.Patience, defaultPatience)
	u, err := url.Parse(opts.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("address of the metadata service: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path+u.RawQuery+u.Fragment != "" {
		return nil, fmt.Errorf("address of the metadata service: want one such as %s, not %q", opts.Dialect.base, u.Redacted())
	}
	if opts.Dial == nil {
		opts.Dial = new(net.Dialer).DialContext
	}
	transport := &http.Transport{DialContext: opts.Dial, MaxConnsPerHost: 1, IdleConnTimeout: time.Minute}
	c := &Client{Options: opts, turn: make(chan struct{}, 1)}
	c.calls = call.New(call.Options{Transport: transport, Log: opts.Log, Retries: retries, Max: time.Second})
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.calls.Close() }

// Identity says who this instance is. It asks until it was answered once.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return Identity{}, err
	}
	defer done()
	if c.identity != nil {
		return *c.identity, nil
	}
	id, err := c.Dialect.identity(ctx, c)
	if err != nil {
		return Identity{}, fmt.Errorf("ask for this instance's identity: %w", err)
	}
	c.identity = &id
	return id, nil
}

// Role is the name of the role whose keys the service gives to whoever reaches
// it; empty if the instance has none. The keys themselves are not asked for.
func (c *Client) Role(ctx context.Context) (string, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	role, err := c.word(ctx, c.Dialect.rolePath)
	if err != nil {
		return "", fmt.Errorf("ask for this instance's role: %w", err)
	}
	return role, nil
}

// begin waits for the turn and bounds what is done in it.
func (c *Client) begin(ctx context.Context) (context.Context, func(), error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("wait to ask the metadata service: %w", context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(ctx, wholeCall*c.Patience)
	return ctx, func() { cancel(); <-c.turn }, nil
}
