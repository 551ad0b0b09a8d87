package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
)

// askTime bounds each question that goes over a socket or the network.
const askTime = 2 * time.Second

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 8 << 20

var (
	errNobody   = errors.New("nobody answers")
	errNotAsked = errors.New("the network is not asked here")
)

// A way is how a daemon is reached: its socket's path, or an address with TLS.
type way struct {
	name   string // for errors
	socket string
	host   string // with port
	tls    *mtls.Client
}

// An answer is what a daemon said besides its text.
type answer struct {
	status int
	date   time.Time // by the daemon's clock, to the second; zero if it does not say
	why    string    // what it says of a status that is an error, if anything
}

// ask sends a GET and reads the JSON of a good answer into out, within askTime.
// An answer with another status is no error of ask.
func (v *visit) ask(ctx context.Context, w way, path string, out any) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, v.patience, fmt.Errorf("%s does not answer within %s", w.name, v.patience))
	defer cancel()
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return v.dial(ctx, w) },
		DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://daemon"+path, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := (&http.Client{Transport: transport, CheckRedirect: noRedirect}).Do(req)
	if err != nil {
		return answer{}, askError(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, askError(ctx, err)
	}
	a := answer{status: resp.StatusCode}
	a.date, _ = http.ParseTime(resp.Header.Get("Date"))
	if resp.StatusCode == http.StatusOK && out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			return a, fmt.Errorf("what answers is not %s: %.60q", w.name, text)
		}
	}
	var said api.Error
	if resp.StatusCode >= http.StatusBadRequest && json.Unmarshal(text, &said) == nil {
		a.why = fmt.Sprintf("%.400s", said.Message)
	}
	return a, nil
}

// dial opens a way.
func (v *visit) dial(ctx context.Context, w way) (net.Conn, error) {
	if w.socket != "" {
		return new(net.Dialer).DialContext(ctx, "unix", v.path(w.socket))
	}
	if v.Network == nil {
		return nil, errNotAsked
	}
	conn, err := v.Network.DialContext(ctx, "tcp", w.host)
	if err != nil || w.tls == nil {
		return conn, err
	}
	host, _, err := net.SplitHostPort(w.host)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return w.tls.Handshake(ctx, conn, host)
}

// askError says why there is no answer, without the URL, whose host is nobody's.
func askError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for {
		inner, ok := err.(interface{ Unwrap() error })
		_, isURL := err.(interface{ Timeout() bool }) // *url.Error, *net.OpError
		if !ok || !isURL || inner.Unwrap() == nil {
			break
		}
		err = inner.Unwrap()
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return err
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", errNobody, err)
	}
	return err
}

// certificateOf is what a TLS port shows, unverified: to read and not to trust.
// The list of what it was signed by follows the certificate itself.
func (v *visit) certificateOf(ctx context.Context, hostPort string) ([]*x509.Certificate, error) {
	if v.Network == nil {
		return nil, errNotAsked
	}
	ctx, cancel := context.WithTimeoutCause(ctx, v.patience, fmt.Errorf("%s does not show its certificate within %s", hostPort, v.patience))
	defer cancel()
	conn, err := v.Network.DialContext(ctx, "tcp", hostPort)
	if err != nil {
		return nil, askError(ctx, err)
	}
	defer conn.Close()
	// It is looked at, not relied on, so nothing is verified. In TLS 1.3 the port
	// shows its certificate before it minds that we have none.
	t := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, askError(ctx, err)
	}
	return t.ConnectionState().PeerCertificates, nil
}
