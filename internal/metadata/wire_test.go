package metadata_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a network of one server, without a kernel: in a bubble its time is
// the bubble's.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// asked is what a server was sent, as "GET /path".
type asked struct {
	mu    sync.Mutex
	lines []string
}

func (a *asked) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	lines := a.lines
	a.lines = nil
	return lines
}

// newClient is a client of a server that h is.
func newClient(t *testing.T, h http.Handler, change func(*metadata.Options)) (*metadata.Client, *asked) {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	a := &asked{}
	srv := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.lines = append(a.lines, r.Method+" "+r.URL.Path)
		a.mu.Unlock()
		h.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(p) }()
	opts := metadata.Options{Dialect: metadata.EC2(), Log: slog.New(slog.DiscardHandler), Dial: p.Dial}
	if change != nil {
		change(&opts)
	}
	c, err := metadata.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); srv.Close(); <-done })
	return c, a
}

// model is one instance's truth.
type model struct {
	mu sync.Mutex
	g  cloudsim.Guest
}

func (m *model) Guest(string) (cloudsim.Guest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.g, nil
}

func (m *model) set(change func(*cloudsim.Guest)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.g)
}

const self = "i-0aaaaaaaaaaaaaaa1"

// newModel is an instance with one NIC, and its service.
func newModel(o imds.Options) (*model, *imds.Service) {
	m := &model{g: cloudsim.Guest{
		Instance: cloudsim.Instance{ID: self, Type: "m5.large", Zone: "eu-central-1a"}, Region: "eu-central-1", Account: "111122223333",
		Interfaces: []cloudsim.GuestInterface{newNIC("eni-10", 0x10, 0)},
	}}
	o.Source = m
	return m, imds.New(o)
}

func newNIC(id string, last byte, device int) cloudsim.GuestInterface {
	return cloudsim.GuestInterface{
		Subnet: cloudsim.Subnet{ID: "subnet-1", CIDR: netip.MustParsePrefix("10.0.1.0/24")}, Cards: 1,
		Interface: cloudsim.Interface{
			ID: id, Subnet: "subnet-1", MAC: cloudsim.MAC{2, 0, 0, 0, 0, last},
			IPv4:       []cloudsim.PrivateIP{{Addr: netip.AddrFrom4([4]byte{10, 0, 1, last}), Primary: true}},
			Attachment: &cloudsim.Attachment{Device: device},
		},
	}
}

// says is a server that gives tokens and has these paths.
func says(paths map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const ttl = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
		text, ok := paths[r.URL.Path]
		switch {
		case r.Method == http.MethodPut:
			w.Header().Set(ttl, r.Header.Get(ttl))
			text = "token"
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, text)
	})
}
