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
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
)

// call makes a signed call of ECS or VPC.
func call(t *testing.T, s *site.Site, nonce, action string, pairs ...string) (int, string) {
	t.Helper()
	return callAs(t, s, s.About.SecretKey, nonce, action, pairs...)
}

// callAs signs with another secret; whose it is stands in pairs.
func callAs(t *testing.T, s *site.Site, secret, nonce, action string, pairs ...string) (int, string) {
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
	v.Set("Signature", ecs.Sign(secret, http.MethodPost, v))
	return get(t, http.MethodPost, s.About.Endpoint+"/?"+v.Encode())
}

// A site of ECS has the API of that, with its words and its faults, and the control.
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
	if a.API != "ecs" || a.Region != "cn-hangzhou" || a.Instances[0].Type != "ecs.g7.xlarge" || a.Subnets[0].Zone != "cn-hangzhou-a" {
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

// The metadata of a site of ECS are ECS's, in normal mode: they need no token, and take one.
// The keys of the role that they give out are taken by the API, which asks the account's
// policies for what its sessions may.
func TestARoleOfASiteOfECS(t *testing.T) {
	t.Parallel()
	account := &iam.Account{}
	policy, err := iam.RAM().Parse([]byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs:DescribeInstances","Resource":"*"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	account.AttachRole("node", policy)
	s, err := site.Start(t.Context(), site.Options{API: site.ECS, Instances: 1, Account: account})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	i := s.About.Instances[0]
	const roles = "/latest/meta-data/ram/security-credentials/"
	if code, text := get(t, "GET", i.Metadata+roles); code != http.StatusOK || text != "node" {
		t.Errorf("without a token the roles are %d %s", code, text)
	}
	_, token := get(t, "PUT", i.Metadata+"/latest/api/token", "X-aliyun-ecs-metadata-token-ttl-seconds", "60")
	code, text := get(t, "GET", i.Metadata+roles+"node", "X-aliyun-ecs-metadata-token", token)
	var keys struct{ AccessKeyID, AccessKeySecret, SecurityToken string }
	if err := json.Unmarshal([]byte(text), &keys); err != nil || code != http.StatusOK || keys.SecurityToken == "" {
		t.Fatalf("the role's keys are %d %s", code, text)
	}
	who := []string{"AccessKeyId", keys.AccessKeyID, "SecurityToken", keys.SecurityToken}
	if code, text := callAs(t, s, keys.AccessKeySecret, "1", "DescribeInstances", who...); code != http.StatusOK || !strings.Contains(text, i.ID) {
		t.Errorf("what the role may is %d %s", code, text)
	}
	code, text = callAs(t, s, keys.AccessKeySecret, "2", "DescribeVpcs", who...)
	for _, want := range []string{`"Code":"Forbidden.RAM"`, `"AuthAction":"vpc:DescribeVpcs"`, `"AuthPrincipalDisplayName":"node:` + i.ID + `"`} {
		if code != http.StatusForbidden || !strings.Contains(text, want) {
			t.Errorf("what it may not is %d %s, want %s", code, text, want)
		}
	}
	if code, text := call(t, s, "3", "DescribeInstances"); code != http.StatusForbidden {
		t.Errorf("of whom the account knows nothing may %d %s", code, text)
	}
}

// What no site can be is refused.
func TestSiteOfNothing(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]site.Options{
		"want one of [ec2 ecs]": {API: "gce"},
	} {
		if _, err := site.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}
