package ecs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A world is a cloud with one vSwitch and one instance, and its face.
type world struct {
	*testing.T
	cloud                    *cloudsim.Cloud
	face                     *Face
	vpc, vSwitch, group, ecs string
	drawn                    int
}

func newWorld(t *testing.T, o cloudsim.Options) *world {
	t.Helper()
	w := &world{T: t, cloud: cloudsim.New(Shape(o))}
	t.Cleanup(w.cloud.Close)
	keys := map[string]Key{"test": {Secret: "s3cret"}, "brief": {Secret: "b", Token: "tok", Expires: time.Now().Add(time.Hour)}}
	w.face = New(Options{Cloud: w.cloud, Keys: func(access string) (Key, bool) {
		k, ok := keys[access]
		return k, ok
	}})
	vpc := must(w.cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.0.0.0/16"), CIDR6: netip.MustParsePrefix("fd00::/56")}))(t)
	group := must(w.cloud.AddGroup(cloudsim.SecurityGroup{Name: "g", VPC: vpc.ID}))(t)
	vSwitch := must(w.cloud.AddSubnet(cloudsim.Subnet{
		VPC: vpc.ID, Zone: "cn-hangzhou-a", CIDR: netip.MustParsePrefix("10.0.1.0/24"), CIDR6: netip.MustParsePrefix("fd00:0:0:1::/64"),
	}))(t)
	made := must(w.cloud.AddInstances(cloudsim.RunInstances{Type: "ecs.g6.large", Subnet: vSwitch.ID, Tags: cloudsim.Tags{"Name": "one"}}))(t)
	w.vpc, w.group, w.vSwitch, w.ecs = vpc.ID, group.ID, vSwitch.ID, made[0].ID
	return w
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// values are a call's with all that every call has, but for the signature.
func (w *world) values(action string, pairs ...string) url.Values {
	w.drawn++
	v := url.Values{
		"Action": {action}, "Version": {ecsVersion}, "Format": {"JSON"}, "AccessKeyId": {"test"}, "RegionId": {"cn-hangzhou"},
		"SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"}, "SignatureType": {""},
		"SignatureNonce": {fmt.Sprint(w.drawn)}, "Timestamp": {w.cloud.Clock().UTC().Format(stamp)},
	}
	if a, ok := actions()[action]; ok {
		v.Set("Version", a.version)
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// send sends the values as they are.
func (w *world) send(v url.Values) (int, map[string]any) {
	w.Helper()
	r := httptest.NewRequest(http.MethodPost, "/?"+v.Encode(), nil)
	recorder := httptest.NewRecorder()
	w.face.ServeHTTP(recorder, r)
	var got map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
		w.Fatalf("%s answers %q: %v", v.Get("Action"), recorder.Body, err)
	}
	return recorder.Code, got
}

// try makes a call, and returns what it is refused with.
func (w *world) try(action string, pairs ...string) string {
	w.Helper()
	v := w.values(action, pairs...)
	v.Set("Signature", Sign("s3cret", http.MethodPost, v))
	if status, got := w.send(v); status >= 300 {
		return fmt.Sprint(got["Code"])
	}
	return ""
}

// ok makes a call that must succeed.
func (w *world) ok(action string, pairs ...string) map[string]any {
	w.Helper()
	v := w.values(action, pairs...)
	v.Set("Signature", Sign("s3cret", http.MethodPost, v))
	status, got := w.send(v)
	if status != http.StatusOK || got["RequestId"] == "" {
		w.Fatalf("%s %v answers %d %v", action, pairs, status, got)
	}
	return got
}

// create makes an interface and returns its id.
func (w *world) create(pairs ...string) string {
	w.Helper()
	got := w.ok("CreateNetworkInterface", append([]string{"VSwitchId", w.vSwitch, "SecurityGroupId", w.group}, pairs...)...)
	return got["NetworkInterfaceId"].(string)
}

// at digs in an answer: names, and numbers of a list, with dots.
func dig(got any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		switch v := got.(type) {
		case map[string]any:
			got = v[part]
		case []any:
			var n int
			if _, err := fmt.Sscan(part, &n); err != nil || n >= len(v) {
				return nil
			}
			got = v[n]
		default:
			return nil
		}
	}
	return got
}

// seen is the interface as DescribeNetworkInterfaces shows it; nil where it does not.
func (w *world) seen(id string) any {
	w.Helper()
	return dig(w.ok("DescribeNetworkInterfaces", "NetworkInterfaceId.1", id), "NetworkInterfaceSets.NetworkInterfaceSet.0")
}
