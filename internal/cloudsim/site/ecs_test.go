package site_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
)

// call makes a signed call of ECS or VPC.
func call(t *testing.T, s *site.Site, nonce, action string, pairs ...string) (int, string) {
	t.Helper()
	version, _ := ecs.Version(action)
	v := url.Values{
		"Action": {action}, "Version": {version}, "Format": {"JSON"}, "RegionId": {s.About.Region}, "AccessKeyId": {s.About.AccessKey},
		"SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"}, "SignatureNonce": {nonce},
		"Timestamp": {time.Now().UTC().Format("2006-01-02T15:04:05Z")},
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	v.Set("Signature", ecs.Sign(s.About.SecretKey, http.MethodPost, v))
	return get(t, http.MethodPost, s.About.Endpoint+"/?"+v.Encode())
}

// A site of ECS has the API of that, with its words and its faults, and the control; and no
// metadata yet.
func TestSiteOfECS(t *testing.T) {
	t.Parallel()
	faults := filepath.Join(t.TempDir(), "faults.yaml")
	if err := os.WriteFile(faults, []byte("faults: [{verb: conflict, code: TaskConflict, api: DescribeVSwitches}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := site.Start(t.Context(), site.Options{API: site.ECS, Instances: 2, Faults: faults, Slow: true, Throttled: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	a := s.About
	if a.API != "ecs" || a.Region != "cn-hangzhou" || a.Instances[0].Type != "ecs.g7.xlarge" || a.Instances[0].Metadata != "" || a.Subnets[0].Zone != "cn-hangzhou-a" {
		t.Errorf("it is %+v", a)
	}
	if code, text := call(t, s, "1", "DescribeVSwitches"); code != http.StatusBadRequest || !strings.Contains(text, `"Code":"TaskConflict"`) {
		t.Errorf("by the fault's file it is %d %s", code, text)
	}
	code, text := call(t, s, "2", "DescribeInstances", "InstanceIds", `["`+a.Instances[1].ID+`"]`)
	if code != http.StatusOK || !strings.Contains(text, `"ZoneId":"cn-hangzhou-b"`) {
		t.Errorf("the instance is %d %s", code, text)
	}
	var log []struct{ API, Code string }
	code, text = get(t, "GET", a.Control+"/log")
	if err := json.Unmarshal([]byte(text), &log); err != nil || code != http.StatusOK {
		t.Fatalf("the log is %d %s", code, text)
	}
	if n := len(log); n < 2 || log[n-2].API != "DescribeVSwitches" || log[n-2].Code != "TaskConflict" || log[n-1].Code != "" {
		t.Errorf("the log is %+v", log)
	}
}

// What no site can be is refused.
func TestSiteOfNothing(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]site.Options{
		"want one of [ec2 ecs]": {API: "gce"},
		"EC2 alone":             {API: site.ECS, Metadata: "127.0.0.1:0"},
	} {
		if _, err := site.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}
