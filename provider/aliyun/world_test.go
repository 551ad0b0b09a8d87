package aliyun

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	sdk "github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// vendor is ECS for the tests that are the same for each cloud.
func vendor() *enitest.Vendor {
	return &enitest.Vendor{
		Zones: [2]string{"cn-hangzhou-a", "cn-hangzhou-b"}, Small: "ecs.g7.large", Big: "ecs.g7.16xlarge",
		Act: enitest.Actions{
			Create: apiCreateInterface, Attach: apiAttachInterface, Detach: apiDetachInterface, Delete: apiDeleteInterface, Modify: apiModifyInterface,
			Assign4: apiAssign4, Unassign4: apiUnassign4, Assign6: apiAssign6, Unassign6: apiUnassign6,
			Interfaces: apiDescribeInterfaces, Instances: apiDescribeInstances, Types: apiDescribeTypes, Subnets: apiDescribeVSwitches,
			Publish: apiAllocateAddress, Lead: apiAssociateAddress, Unlead: apiUnassociate, Unpublish: apiReleaseAddress, Published: apiDescribeAddresses,
		},
		Attempts: attempts, PublishAttempts: attempts, Denied: "Forbidden.RAM", Mutating: 2, Again: true, Forgets: true,
		Latency: ecs.ObservedLatency(), Buckets: ecs.KnownBuckets(), Shape: ecs.Shape, Face: face,
		Reads: reads,
	}
}

// face speaks ECS for the world.
func face(w *enitest.World) func(int) *eni.Provider {
	h := handler(w)
	dial := enitest.Serve(w.T, h)
	return func(calls int) *eni.Provider { return with(w, dial, func(o *Options) { o.Calls = calls }).Provider }
}

func handler(w *enitest.World) http.Handler {
	expires := time.Now().Add(24 * time.Hour)
	return ecs.New(ecs.Options{Cloud: w.Cloud, Keys: func(access string) (ecs.Key, bool) {
		return ecs.Key{Secret: testSecret, Token: testToken, Expires: expires}, access == testKey
	}})
}

// with is a provider on the world that remembers nothing, with other options.
func with(w *enitest.World, dial enitest.Dial, change func(*Options)) *Provider {
	w.Helper()
	transport := &http.Transport{DialContext: dial}
	w.Cleanup(transport.CloseIdleConnections)
	o := Options{
		Name: "cloud", Cluster: "cl-1", Region: w.Cloud.Region(), Endpoint: "http://ecs.test", Keys: keys(),
		Transport: transport, Log: slog.New(slog.NewTextHandler(w.Output(), nil)),
	}
	change(&o)
	p, err := New(w.Context(), o)
	w.Must(err)
	return p
}

// provided is a provider on the world, with its inside.
func provided(w *enitest.World) *Provider {
	w.Helper()
	return with(w, enitest.Serve(w.T, handler(w)), func(*Options) {})
}

func open(t *testing.T, o cloudsim.Options) *enitest.World {
	t.Helper()
	return enitest.Open(t, vendor(), o)
}

// onLoopback has the world talk through the kernel instead, outside of bubbles.
func onLoopback(w *enitest.World) *enitest.World {
	server := httptest.NewServer(handler(w))
	w.Cleanup(server.Close)
	var d net.Dialer
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	w.Make = func(int) *eni.Provider {
		return with(w, dial, func(o *Options) { o.backoff = 20 * time.Millisecond }).Provider
	}
	w.Provider = w.Another()
	return w
}

func prefixOf(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func typesInMemory() []cloudsim.InstanceType { return ecs.InstanceTypes() }

// shownAt is an interface as ECS shows it, in that status at an instance.
func shownAt(status, instance string) sdk.NetworkInterfaceSet {
	return sdk.NetworkInterfaceSet{NetworkInterfaceId: "eni-1", Status: status, InstanceId: instance}
}
