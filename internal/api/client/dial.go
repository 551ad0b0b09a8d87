package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
)

// dialTime bounds one address: a machine that is gone answers nothing at all.
const dialTime = 5 * time.Second

// dialer connects to the first address that answers, from the one on that
// answered last.
type dialer struct {
	addresses []address
	tls       *mtls.Client // nil without an https address
	log       *slog.Logger

	mu     sync.Mutex
	now    int             // the address that is in use
	good   int             // the one that answered last
	inUse  context.Context // ends when now is left for another that works
	ending context.CancelFunc
}

// address is one way to the controller.
type address struct {
	text    string // as it was given
	network string // unix or tcp
	target  string // path, or host and port
	host    string // what the certificate there must be made out for; empty without TLS
}

func newDialer(opts Options) (*dialer, error) {
	d := &dialer{log: opts.Log}
	d.inUse, d.ending = context.WithCancel(context.Background())
	if len(opts.Addresses) == 0 {
		return nil, fmt.Errorf("no address of a controller: want one such as %s", DefaultAddress)
	}
	for _, text := range opts.Addresses {
		a, err := parseAddress(text)
		if err != nil {
			return nil, err
		}
		d.addresses = append(d.addresses, a)
		if a.host == "" || d.tls != nil {
			continue
		}
		if d.tls, err = opts.newTLS(text); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// newTLS makes what goes below an https address.
func (o Options) newTLS(address string) (*mtls.Client, error) {
	switch {
	case o.Fingerprint != "":
		return mtls.NewPinned(o.Fingerprint)
	case o.TLS.CA == "" || o.TLS.Cert == "" || o.TLS.Key == "":
		return nil, fmt.Errorf("address %q: needs a CA, a certificate and a key", address)
	}
	return mtls.NewClient(o.TLS, o.Log)
}

func parseAddress(text string) (address, error) {
	if path, ok := strings.CutPrefix(text, "unix://"); ok && strings.HasPrefix(path, "/") {
		return address{text: text, network: "unix", target: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Port() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return address{}, fmt.Errorf("address %q: want unix:// and an absolute path, such as %s, or https:// with host and port, such as https://10.0.0.1:7460",
			text, DefaultAddress)
	}
	return address{text: text, network: "tcp", target: net.JoinHostPort(u.Hostname(), u.Port()), host: u.Hostname()}, nil
}

// String is all addresses, for errors.
func (d *dialer) String() string {
	texts := make([]string, len(d.addresses))
	for i, a := range d.addresses {
		texts[i] = a.text
	}
	return strings.Join(texts, " and ")
}

// hint is what to do where nobody answers.
func (d *dialer) hint() string {
	if d.tls != nil {
		return "; is nicferryd running there, with listen.address in its config, and the way to it open?"
	}
	return "; is nicferryd running?"
}

// at is the address in use, to be given to leave.
func (d *dialer) at() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// leave goes on to the address after at, unless somebody has gone on already,
// and says whether it did.
func (d *dialer) leave(at int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now != at || len(d.addresses) == 1 {
		return false
	}
	d.now = (at + 1) % len(d.addresses)
	return true
}

// exchange goes on from at to another address that works, and ends what waits for at.
func (d *dialer) exchange(at, other int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now != at {
		return
	}
	d.now = other
	d.ending()
	d.inUse, d.ending = context.WithCancel(context.Background())
}

// leaving goes on to the next address when a controller says that it stands by.
type leaving struct {
	http.RoundTripper
	dial *dialer
}

// RoundTrip is that of http.RoundTripper.
func (l leaving) RoundTrip(r *http.Request) (*http.Response, error) {
	at := l.dial.at()
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil && resp.Header.Get(api.StandbyHeader) != "" {
		l.dial.leave(at)
	}
	return resp, err
}

// CloseIdleConnections is for http.Client.
func (l leaving) CloseIdleConnections() {
	if c, ok := l.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// answered notes that the address has answered.
func (d *dialer) answered(at int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.good != at {
		d.log.Info("connected to another address of the controller", slog.String("address", d.addresses[at].text))
	}
	d.good = at
}

// dial has the signature that http.Transport wants; where to is ours to say.
func (d *dialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var errs []error
	for range d.addresses {
		at := d.at()
		a := d.addresses[at]
		conn, err := d.dialOne(ctx, a)
		if err == nil {
			d.answered(at)
			return conn, nil
		}
		if len(d.addresses) > 1 {
			err = fmt.Errorf("%s: %w", a.text, err)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
		d.leave(at)
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, errors.Join(errs...)
}

func (d *dialer) dialOne(ctx context.Context, a address) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	network := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	conn, err := network.DialContext(ctx, a.network, a.target)
	if err != nil || a.host == "" {
		return conn, err
	}
	return d.tls.Handshake(ctx, conn, a.host)
}
