package aws

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

// TestTheRoleIsReadWithTokensAlone: the credentials of the instance's role come
// from where the shared config file says, and never without a token, though the
// service would give them so and the SDK would ask.
func TestTheRoleIsReadWithTokensAlone(t *testing.T) {
	for name, c := range map[string]struct {
		fault imds.Fault
		works bool
	}{
		"as it is":            {works: true},
		"a token is refused":  {fault: imds.Fault{Verb: imds.Off, Path: "/latest/api/token"}},
		"nothing for a token": {fault: imds.Fault{Verb: cloudsim.Empty, Path: "/latest/api/token"}},
		"a page for a token":  {fault: imds.Fault{Verb: cloudsim.HTML, Path: "/latest/api/token"}},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			tokenless := 0
			service, endpoint := metadataOf(t, func(r imds.Request) {
				mu.Lock()
				defer mu.Unlock()
				if r.Method == http.MethodGet {
					tokenless++
				}
			})
			if !c.works {
				if err := service.Inject(c.fault); err != nil {
					t.Fatal(err)
				}
			}
			text := "[profile role]\nregion = eu-central-1\nec2_metadata_service_endpoint = " + endpoint + "\n"
			shared := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(shared, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_CONFIG_FILE", shared)
			for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED"} {
				t.Setenv(v, "")
			}
			p, err := New(t.Context(), Options{Name: "cloud", Cluster: "cl-1", Profile: "role", backoff: 1})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.cloud.api.Options().Credentials.Retrieve(t.Context())
			if key, ok := service.Key(got.AccessKeyID); (err == nil) != c.works || c.works && (!ok || key.Secret != got.SecretAccessKey) {
				t.Errorf("credentials: %v, of the role: %v; want them: %v", err, ok, c.works)
			}
			mu.Lock()
			defer mu.Unlock()
			if !c.works && tokenless > 0 {
				t.Errorf("it was asked %d times for the role without a token", tokenless)
			}
		})
	}
}

// metadataOf is the metadata service of an instance with a role, which wants no
// tokens, and where it is.
func metadataOf(t *testing.T, seen func(imds.Request)) (*imds.Service, string) {
	t.Helper()
	cloud := cloudsim.New(cloudsim.Options{})
	t.Cleanup(cloud.Close)
	vpc, err := cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.80.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	subnet, err := cloud.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: testZone, CIDR: netip.MustParsePrefix("10.80.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	made, err := cloud.AddInstances(cloudsim.RunInstances{Type: "m5.large", Subnet: subnet.ID})
	if err != nil {
		t.Fatal(err)
	}
	service := imds.New(imds.Options{Source: cloud, Role: func(string) string { return "controller" }, Optional: true, Seen: seen})
	l, err := service.Listen(t.Context(), made[0].ID, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return service, l.URL
}
