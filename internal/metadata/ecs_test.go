package metadata_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
)

// newECS is a service of Alibaba Cloud's.
func newECS(o imds.Options) *imds.Service {
	o.Dialect = imds.ECS()
	return newService(o)
}

// An instance is asked in its hardened mode, whatever it is set to.
func TestECSIdentity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, normal := range []bool{true, false} {
			c, asked := newClient(t, newECS(imds.Options{Optional: normal}).Handler(self), ofECS)
			want := metadata.Identity{Instance: self, Type: "m5.large", Region: "eu-central-1", Zone: "eu-central-1a", Account: "111122223333"}
			for range 3 {
				if got, err := c.Identity(t.Context()); got != want || err != nil {
					t.Errorf("%+v, %v; want %+v", got, err, want)
				}
			}
			if got := asked.take(); !slices.Equal(got, []string{"PUT /latest/api/token", "GET " + document}) {
				t.Errorf("asked %q: an instance stays what it is", got)
			}
		}
	})
}

func TestECSRole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, role := range []string{"", "web-role"} {
			c, asked := newClient(t, newECS(imds.Options{Role: func(string) string { return role }}).Handler(self), ofECS)
			if got, err := c.Role(t.Context()); got != role || err != nil {
				t.Errorf("%q, %v; want %q", got, err, role)
			}
			if lines := asked.take(); slices.Contains(lines, "GET /latest/meta-data/ram/security-credentials/web-role") {
				t.Errorf("the role's keys were asked for: %s", lines)
			}
		}
	})
}

// Whatever answers there: an error with a kind and with words for a person, and
// never an identity.
func TestECSIdentityOfWhatIsNoService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good := `{"instance-id":"i-1","instance-type":"ecs.g6.large","region-id":"cn-hangzhou","zone-id":"cn-hangzhou-b"}`
		gives := func(doc string) http.Handler { return says(map[string]string{document: doc}) }
		all := func(text string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
		}
		for name, tc := range map[string]struct {
			h     http.Handler
			kind  error
			words string
		}{
			"a portal":              {status(200), metadata.ErrStrange, "a token that is none"},
			"nothing, whatever":     {all(""), metadata.ErrStrange, "a token that is none"},
			"ok, whatever":          {all("ok"), metadata.ErrStrange, "not JSON"},
			"EC2's":                 {newService(imds.Options{}).Handler(self), metadata.ErrStrange, "answered 400"},
			"switched off":          {status(403), metadata.ErrRefused, "switched off for this instance, or a proxy"},
			"one without tokens":    {status(404), metadata.ErrStrange, "ECS gives a token there"},
			"it breaks":             {status(500), metadata.ErrStrange, "answered 500"},
			"it sends elsewhere":    {status(302, "Location", "http://127.0.0.1:1/"), metadata.ErrStrange, "answered 302"},
			"too much is asked":     {status(429), metadata.ErrRefused, "too often"},
			"no document":           {says(nil), metadata.ErrStrange, "has no " + document},
			"an empty document":     {gives(""), metadata.ErrStrange, "not JSON"},
			"null":                  {gives("null"), metadata.ErrStrange, `instance-id is ""`},
			"half a document":       {gives(good[:30]), metadata.ErrStrange, "not JSON"},
			"another cloud's":       {gives(`{"instanceId":"i-1","region":"r"}`), metadata.ErrStrange, `instance-id is ""`},
			"a region of two words": {gives(strings.Replace(good, `"cn-hangzhou"`, `"cn hangzhou"`, 1)), metadata.ErrStrange, `region-id is "cn hangzhou"`},
			"without a zone":        {gives(strings.Replace(good, "cn-hangzhou-b", "", 1)), metadata.ErrStrange, `zone-id is ""`},
		} {
			c, _ := newClient(t, tc.h, ofECS)
			id, err := c.Identity(t.Context())
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.words) || id != (metadata.Identity{}) {
				t.Errorf("%s: %+v, %v; want %q and %q", name, id, err, tc.kind, tc.words)
			}
		}
	})
}

// A service of either cloud that is silent, resets, answers a page or nothing at all
// tells no identity, and one that does so for a moment is asked again.
func TestFaultsOfTheService(t *testing.T) {
	t.Parallel()
	for name, said := range speeches() {
		for verb, kind := range map[cloudsim.Verb]error{
			imds.Silent: metadata.ErrNone, cloudsim.Reset: metadata.ErrNone, cloudsim.HTML: metadata.ErrStrange, cloudsim.Empty: metadata.ErrStrange,
			cloudsim.Throttle: metadata.ErrRefused, imds.Off: metadata.ErrRefused,
		} {
			for _, path := range []string{"/latest/api/token", document} {
				synctest.Test(t, func(t *testing.T) {
					service := newService(imds.Options{Dialect: said.service})
					c, _ := newClient(t, service.Handler(self), func(o *metadata.Options) { o.Dialect = said.dialect })
					if err := service.Inject(imds.Fault{Verb: verb, Path: path}); err != nil {
						t.Fatal(err)
					}
					if id, err := c.Identity(t.Context()); !errors.Is(err, kind) || id != (metadata.Identity{}) {
						t.Errorf("%s: %s at %s: %+v, %v; want %v", name, verb, path, id, err, kind)
					}
					service.Clear()
					if id, err := c.Identity(t.Context()); err != nil || id.Instance != self {
						t.Errorf("%s: after %s at %s: %+v, %v", name, verb, path, id, err)
					}
				})
			}
		}
	}
}

// Region heeds that the vendor's own tools are told not to ask.
func TestECSRegion(t *testing.T) {
	t.Parallel()
	env := map[string]string{"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "True"}
	_, err := metadata.Region(t.Context(), metadata.ECS(), func(name string) string { return env[name] }, slog.New(slog.DiscardHandler))
	if !errors.Is(err, metadata.ErrRefused) || !strings.Contains(err.Error(), "set aliyun.region") {
		t.Errorf("%v", err)
	}
}
