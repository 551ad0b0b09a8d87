package metadata_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
)

const document = "/latest/dynamic/instance-identity/document"

// status answers all with one.
func status(code int, header ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if len(header) == 2 {
			w.Header().Set(header[0], header[1])
		}
		w.WriteHeader(code)
		io.WriteString(w, "<html>x</html>")
	})
}

// Whatever answers there: an error with a kind and with words for a person.
func TestIdentityOfWhatIsNoService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ttl = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
		good := `{"instanceId":"i-1","instanceType":"m5.large","region":"r-1","availabilityZone":"r-1a"}`
		for name, tc := range map[string]struct {
			h     http.Handler
			kind  error
			words string
		}{
			"a portal":                 {status(200), metadata.ErrStrange, "without X-Aws-Ec2"},
			"a portal that echoes":     {status(200, ttl, "300"), metadata.ErrStrange, "a token that is none"},
			"a TTL of nothing":         {status(200, ttl, "0"), metadata.ErrStrange, "without X-Aws-Ec2"},
			"another cloud's":          {status(404), metadata.ErrStrange, "EC2 gives a token there"},
			"one without version 2":    {status(405), metadata.ErrStrange, "answered 405"},
			"switched off":             {status(403), metadata.ErrRefused, "switched off for this instance, or a proxy"},
			"a TTL is not taken":       {status(400), metadata.ErrStrange, "answered 400"},
			"it breaks":                {status(500), metadata.ErrStrange, "answered 500"},
			"it sends elsewhere":       {status(302, "Location", "http://127.0.0.1:1/"), metadata.ErrStrange, "answered 302"},
			"no document":              {says(nil), metadata.ErrStrange, "has no " + document},
			"an empty document":        {says(map[string]string{document: ""}), metadata.ErrStrange, "not JSON"},
			"half a document":          {says(map[string]string{document: good[:30]}), metadata.ErrStrange, "not JSON"},
			"a page":                   {says(map[string]string{document: "<html>"}), metadata.ErrStrange, "not JSON"},
			"without instance":         {says(map[string]string{document: strings.Replace(good, "i-1", "", 1)}), metadata.ErrStrange, `instanceId is ""`},
			"a region of two words":    {says(map[string]string{document: strings.Replace(good, `"r-1"`, `"r 1"`, 1)}), metadata.ErrStrange, `region is "r 1"`},
			"a zone with a line break": {says(map[string]string{document: strings.Replace(good, `"r-1a"`, `"r\n1"`, 1)}), metadata.ErrStrange, "availabilityZone"},
			"a number for a type":      {says(map[string]string{document: strings.Replace(good, `"m5.large"`, `5`, 1)}), metadata.ErrStrange, "not JSON"},
			"more than anybody reads":  {says(map[string]string{document: strings.Repeat(" ", 70000) + good}), metadata.ErrStrange, "more than 65536 bytes"},
		} {
			c, _ := newClient(t, tc.h, nil)
			_, err := c.Identity(t.Context())
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("%s: %v; want %q and %q", name, err, tc.kind, tc.words)
			}
		}
	})
}

// Version 1 asks without a token: whoever can make a program on the instance
// send a GET can use it. We never do, whatever the answer to asking for one.
func TestNeverWithoutAToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []int{200, 204, 400, 401, 403, 404, 405, 500, 501} {
			old := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					w.WriteHeader(code)
					return
				}
				t.Errorf("after %d to the token: %s %s, token %q", code, r.Method, r.URL.Path, r.Header.Get("X-Aws-Ec2-Metadata-Token"))
			})
			c, _ := newClient(t, old, nil)
			if _, err := c.Identity(t.Context()); err == nil {
				t.Errorf("%d: no error", code)
			}
			if _, err := c.Role(t.Context()); err == nil {
				t.Errorf("%d: no error", code)
			}
		}
	})
}

// What nobody answers ends soon, with words.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := newService(imds.Options{})
		if err := service.Inject(imds.Fault{Verb: imds.Silent}); err != nil {
			t.Fatal(err)
		}
		c, _ := newClient(t, service.Handler(self), nil)
		begun := time.Now()
		_, err := c.Identity(t.Context())
		if !errors.Is(err, metadata.ErrNone) {
			t.Fatal(err)
		}
		for _, words := range []string{"said nothing for 2s", "Is this an EC2 instance", "hop limit must be 2", "http://169.254.169.254"} {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%v does not say %q", err, words)
			}
		}
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("took %s, want 2s", took)
		}
		// The caller's own deadline is the caller's.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Identity(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, metadata.ErrNone) {
			t.Errorf("%v, want the caller's deadline", err)
		}
	})
}

// One who waits for another's question goes when they have to.
func TestWaitingForTheTurnEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := newService(imds.Options{})
		if err := service.Inject(imds.Fault{Verb: imds.Silent, Count: 1}); err != nil {
			t.Fatal(err)
		}
		c, _ := newClient(t, service.Handler(self), nil)
		done := make(chan error)
		go func() { _, err := c.Identity(t.Context()); done <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Role(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "wait to ask") {
			t.Errorf("%v", err)
		}
		if err := <-done; !errors.Is(err, metadata.ErrNone) {
			t.Errorf("the one that asked: %v", err)
		}
		if _, err := c.Identity(t.Context()); err != nil {
			t.Errorf("after the fault: %v", err)
		}
	})
}

// A throttled or broken answer is asked for again, within the patience.
func TestTriesAgain(t *testing.T) {
	t.Parallel()
	for verb, count := range map[cloudsim.Verb]int{cloudsim.Throttle: 2, cloudsim.Reset: 2} {
		synctest.Test(t, func(t *testing.T) {
			service := newService(imds.Options{})
			c, asked := newClient(t, service.Handler(self), nil)
			if err := service.Inject(imds.Fault{Verb: verb, Count: count}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Identity(t.Context()); err != nil {
				t.Errorf("%s: %v", verb, err)
			}
			if got := asked.take(); len(got) != count+2 {
				t.Errorf("%s: asked %q", verb, got)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		service := newService(imds.Options{})
		c, _ := newClient(t, service.Handler(self), nil)
		if err := service.Inject(imds.Fault{Verb: cloudsim.Throttle}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Identity(t.Context()); !errors.Is(err, metadata.ErrRefused) || !strings.Contains(err.Error(), "too often") {
			t.Errorf("throttled for good: %v", err)
		}
	})
}

// A proxy would be asked for somebody else's metadata, or hand ours on.
func TestNoProxyIsAsked(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:3128")
	service := newService(imds.Options{})
	c, _ := newClient(t, service.Handler(self), func(o *metadata.Options) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "169.254.169.254:80" {
				t.Errorf("connects to %s", address)
			}
			return dial(ctx, network, address)
		}
	})
	if _, err := c.Identity(t.Context()); err != nil {
		t.Error(err)
	}
}

// A refused connection is told as such.
func TestRefusedConnection(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := newService(imds.Options{})
	l, err := service.Listen(t.Context(), self, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ln.Close() // a port that nobody has
	for address, want := range map[string]error{"http://" + ln.Addr().String(): metadata.ErrNone, l.URL: nil} {
		c, err := metadata.New(metadata.Options{Dialect: metadata.EC2(), Log: slog.New(slog.DiscardHandler), BaseURL: address, Patience: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Identity(t.Context()); !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: %v", address, err)
		}
		c.Close()
	}
}

// Region heeds what AWS's own tools are told, and its error says what to do.
func TestRegion(t *testing.T) {
	t.Parallel()
	service := newService(imds.Options{})
	l, err := service.Listen(t.Context(), self, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	env := map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": l.URL + "/"}
	getenv := func(name string) string { return env[name] }
	log := slog.New(slog.DiscardHandler)
	if got, err := metadata.Region(t.Context(), metadata.EC2(), getenv, log); got != region || err != nil {
		t.Errorf("%q, %v; want %q", got, err, region)
	}
	env["AWS_EC2_METADATA_DISABLED"] = "TRUE"
	if _, err := metadata.Region(t.Context(), metadata.EC2(), getenv, log); !errors.Is(err, metadata.ErrRefused) || !strings.Contains(err.Error(), "set aws.region") {
		t.Errorf("%v", err)
	}
	env = map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "nonsense"}
	if _, err := metadata.Region(t.Context(), metadata.EC2(), getenv, log); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("%v", err)
	}
}
