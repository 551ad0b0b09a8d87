package aws

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ec2"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// vendor is EC2 for the tests that are the same for each cloud.
func vendor() *enitest.Vendor {
	return &enitest.Vendor{
		Zones: [2]string{"eu-central-1a", "eu-central-1b"}, Small: "m5.large", Big: "m5.16xlarge",
		Act: enitest.Actions{
			Create: apiCreateInterface, Attach: apiAttachInterface, Detach: apiDetachInterface, Delete: apiDeleteInterface, Modify: apiModifyInterface,
			Assign4: apiAssign4, Unassign4: apiUnassign4, Assign6: apiAssign6, Unassign6: apiUnassign6,
			Interfaces: apiDescribeInterfaces, Instances: apiDescribeInstances, Types: apiDescribeTypes, Subnets: apiDescribeSubnets,
			Publish: apiAllocateAddress, Lead: apiAssociateAddress, Unlead: apiDisassociate, Unpublish: apiReleaseAddress, Published: apiDescribeAddresses,
		},
		Attempts: attempts, PublishAttempts: 1, Denied: "UnauthorizedOperation", Mutating: 3,
		Latency: cloudsim.ObservedLatency(), Buckets: cloudsim.KnownBuckets(), Reads: reads,
		Face: func(w *enitest.World) func(int) *eni.Provider {
			return (&world{World: w, dial: enitest.Serve(w.T, handler(w))}).maker()
		},
	}
}

// A world is one with our provider's inside.
type world struct {
	*enitest.World
	dial enitest.Dial
}

// open makes a world. What goes over the wire goes through pipes, so that a world can be
// in a bubble.
func open(t *testing.T, o cloudsim.Options) *world {
	t.Helper()
	w, v := &world{}, vendor()
	v.Face = func(inside *enitest.World) func(int) *eni.Provider {
		w.World, w.dial = inside, enitest.Serve(t, handler(inside))
		return w.maker()
	}
	enitest.Open(t, v, o)
	return w
}

// handler speaks EC2 for the world.
func handler(w *enitest.World) http.Handler {
	expires := time.Now().Add(24 * time.Hour)
	return ec2.New(ec2.Options{Cloud: w.Cloud, Keys: func(access string) (ec2.Key, bool) {
		return ec2.Key{Secret: testSecret, Session: testToken, Expires: expires}, access == testKey
	}})
}

func (w *world) maker() func(int) *eni.Provider {
	return func(calls int) *eni.Provider { return w.with(func(o *Options) { o.Calls = calls }).Provider }
}

// inside is a provider on the world, with what is in it.
func (w *world) inside() *Provider {
	w.Helper()
	return w.with(func(*Options) {})
}

// with is a provider on the same world that remembers nothing, with other options.
func (w *world) with(change func(*Options)) *Provider {
	w.Helper()
	o := w.options()
	change(&o)
	p, err := New(w.Context(), o)
	w.Must(err)
	return p
}

func (w *world) options() Options {
	transport := &http.Transport{DialContext: w.dial}
	w.Cleanup(transport.CloseIdleConnections)
	return Options{
		Name: "cloud", Cluster: "cl-1", Region: w.Cloud.Region(), Endpoint: "http://ec2.test/",
		HTTPClient: &http.Client{Transport: transport, Timeout: attemptTime}, Log: slog.New(slog.NewTextHandler(w.Output(), nil)),
	}
}

// onLoopback has the world talk through the kernel instead, outside of bubbles.
func (w *world) onLoopback() *world {
	server := httptest.NewServer(handler(w.World))
	w.Cleanup(server.Close)
	var d net.Dialer
	w.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	w.Provider = w.Another()
	return w
}
