package metadata_test

import (
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/internal/pipenet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	ln := pipenet.Listen()
	a := &asked{}
	srv := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.lines = append(a.lines, r.Method+" "+r.URL.Path)
		a.mu.Unlock()
		h.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ln) }()
	opts := metadata.Options{Dialect: metadata.EC2(), Log: slog.New(slog.DiscardHandler), Dial: ln.Dial}
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

const (
	self   = "i-0aaaaaaaaaaaaaaa1"
	region = "eu-central-1"
)

// ofECS has a client speak to the other cloud.
func ofECS(o *metadata.Options) { o.Dialect = metadata.ECS() }

// newService tells one instance of itself.
func newService(o imds.Options) *imds.Service {
	o.Source = instance{}
	return imds.New(o)
}

type instance struct{}

func (instance) Guest(string) (cloudsim.Guest, error) {
	return cloudsim.Guest{
		Instance: cloudsim.Instance{ID: self, Type: "m5.large", Zone: "eu-central-1a"}, Region: region, Account: "111122223333",
	}, nil
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
