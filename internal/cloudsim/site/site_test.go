package site_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, method, url string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// All doors of a site are open, each says of the others what is so, and all are
// closed at its end.
func TestSite(t *testing.T) {
	t.Parallel()
	faults := filepath.Join(t.TempDir(), "faults.yaml")
	if err := os.WriteFile(faults, []byte("faults: [{verb: limit, api: AttachNetworkInterface}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := site.Start(t.Context(), site.Options{Instances: 3, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	code, text := get(t, "GET", s.About.Control)
	var about site.About
	if err := json.Unmarshal([]byte(text), &about); err != nil || code != 200 {
		t.Fatalf("%d %v: %s", code, err, text)
	}
	if about.Endpoint != s.About.Endpoint || about.Endpoint == about.Control || len(about.Instances) != 3 || len(about.Subnets) != 2 {
		t.Errorf("%+v", about)
	}
	if code, text = get(t, "GET", s.About.Control+"/faults"); code != 200 || !strings.Contains(text, `"limit"`) {
		t.Errorf("faults: %d %s", code, text)
	}
	if code, text = get(t, "POST", s.About.Endpoint); code != 403 || !strings.Contains(text, "MissingAuthenticationToken") {
		t.Errorf("EC2's API: %d %s", code, text)
	}
	zones := map[string]bool{}
	for _, i := range about.Instances {
		zones[i.Zone] = true
		_, token := get(t, "PUT", i.Metadata+"/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
		if code, text = get(t, "GET", i.Metadata+"/latest/meta-data/instance-id", "X-aws-ec2-metadata-token", token); code != 200 || text != i.ID {
			t.Errorf("metadata of %s: %d %s", i.ID, code, text)
		}
	}
	if len(zones) != 2 {
		t.Errorf("instances are in %v", zones)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := http.Get(s.About.Endpoint); err == nil { //nolint:noctx // it must not be there
		t.Error("the API is still there")
	}
}

// A site that cannot be opened says why, and leaves no door open.
func TestNoSite(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]site.Options{
		"instance":     {Instances: 1, Type: "t0.none"},
		"EC2's API":    {Listen: "127.0.0.1:no"},
		"the control":  {Control: "127.0.0.1:no"},
		"no-such-file": {Faults: "/no-such-file"},
	} {
		s, err := site.Start(t.Context(), o)
		if err == nil {
			t.Errorf("%s: it stands, and closes with %v", want, s.Close())
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
