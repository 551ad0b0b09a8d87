package imds_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials/providers"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

// Normal mode takes no token, hardened mode no GET without one. A token that is
// wrong is wrong in both.
func TestECSModes(t *testing.T) {
	t.Parallel()
	for optional, want := range map[bool]int{true: 200, false: 401} {
		c := newECSClient(t, imds.Options{Optional: optional})
		c.want("/latest/meta-data/instance-id", 200, one)
		if w := c.ask("GET", "/latest/meta-data/instance-id"); w.Code != want {
			t.Errorf("optional %v, without a token: %d", optional, w.Code)
		}
		for header, value := range map[string]string{c.tokenHeader: "other", tokenHeader: c.token} {
			status := 401
			if header == tokenHeader {
				status = want // another cloud's header is none
			}
			if w := c.ask("GET", "/latest/meta-data/instance-id", header, value); w.Code != status {
				t.Errorf("optional %v, %s: %d, want %d", optional, header, w.Code, status)
			}
		}
		for ttl, status := range map[string]int{"": 400, "0": 400, "21601": 400, "x": 400, "1": 200} {
			if w := c.ask("PUT", "/latest/api/token", c.ttlHeader, ttl); w.Code != status {
				t.Errorf("a token for %q seconds: %d, want %d", ttl, w.Code, status)
			}
		}
		if w := c.ask("PUT", "/latest/api/token", ttlHeader, "60"); w.Code != 400 {
			t.Errorf("EC2's header is answered %d", w.Code)
		}
	}
}

// The items are those of the vendor's page, in its forms.
func TestECSPaths(t *testing.T) {
	t.Parallel()
	c := newECSClient(t, imds.Options{Role: func(id string) string { return map[string]string{one: "web"}[id] }})
	const n0, n1 = "/latest/meta-data/network/interfaces/macs/" + mac0, "/latest/meta-data/network/interfaces/macs/" + mac1
	for path, want := range map[string]string{
		"/":                                           "2016-01-01\nlatest",
		"/latest":                                     "dynamic/\nmeta-data/",
		"/latest/meta-data/region-id":                 region,
		"/latest/meta-data/zone-id":                   region + "a",
		"/latest/meta-data/mac":                       mac0,
		"/latest/meta-data/vpc-id":                    "vpc-1",
		"/latest/meta-data/vswitch-id":                "subnet-1",
		"/latest/meta-data/vpc-cidr-block":            "10.0.0.0/16",
		"/latest/meta-data/vswitch-cidr-block":        "10.0.1.0/24",
		"/latest/meta-data/private-ipv4":              "10.0.1.16",
		"/latest/meta-data/owner-account-id":          "111122223333",
		"/latest/meta-data/instance/instance-type":    "c6in.32xlarge",
		"/latest/meta-data/instance/instance-name":    "web",
		"/2016-01-01/meta-data/instance-id":           one,
		"/latest/meta-data/network/interfaces/macs/":  mac0 + "/\n" + mac1 + "/",
		"/latest/meta-data/ram/security-credentials/": "web",
		"/latest/meta-data/ram":                       "security-credentials/",
		"/latest/dynamic/instance-identity/":          "document\npkcs7",
		n0 + "/network-interface-id":                  "eni-10",
		n1 + "/network-interface-id":                  "eni-11",
		n1 + "/primary-ip-address":                    "10.0.1.17",
		n1 + "/private-ipv4s":                         `["10.0.1.17","10.0.1.99"]`,
		n1 + "/ipv6s":                                 "[2001:db8:0:1::5]",
		n1 + "/netmask":                               "255.255.255.0",
		n1 + "/gateway":                               "10.0.1.253",
		n1 + "/ipv6-gateway":                          "2001:db8:0:1:ffff:ffff:ffff:fffd",
		n1 + "/vswitch-id":                            "subnet-1",
		n1 + "/vpc-id":                                "vpc-1",
		n1 + "/vswitch-cidr-block":                    "10.0.1.0/24",
		n1 + "/vpc-cidr-block":                        "10.0.0.0/16",
		n1 + "/vswitch-ipv6-cidr-block":               "2001:db8:0:1::/64",
		n1 + "/vpc-ipv6-cidr-blocks":                  "[2001:db8::/56]",
	} {
		c.want(path, 200, want)
	}
	for _, path := range []string{
		n0 + "/ipv6s", n0 + "/device-number", n0 + "/interface-id", "/latest/meta-data/eipv4", "/latest/meta-data/iam/", "/1.0/meta-data/mac",
		"/latest/meta-data/ram/security-credentials/other", "/latest/user-data", "/latest/dynamic/instance-identity/signature",
	} {
		c.want(path, 404, "")
	}
	_, text := c.get("/latest/dynamic/instance-identity/document")
	var doc map[string]string
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"instance-id": one, "region-id": region, "zone-id": region + "a", "private-ipv4": "10.0.1.16", "owner-account-id": "111122223333",
		"mac": mac0, "image-id": "ami-1", "instance-type": "c6in.32xlarge",
	} {
		if doc[key] != want {
			t.Errorf("%s is %q, want %q", key, doc[key], want)
		}
	}
	if len(doc["serial-number"]) != 36 {
		t.Errorf("the serial number is %q", doc["serial-number"])
	}
	c.instance = two
	c.renew("60")
	c.want("/latest/meta-data/ram/security-credentials/", 404, "")
	c.want("/latest/meta-data/network/interfaces/macs/02:00:00:00:00:20/vpc-ipv6-cidr-blocks", 404, "")
}

// An interface without IPv4 has no addresses of it, and one with a public address
// has that on the instance.
func TestECSAddresses(t *testing.T) {
	t.Parallel()
	g := newGuests()
	g.them[one].Interfaces[1].Interface.IPv4 = nil
	g.them[one].Interfaces[0].Interface.IPv4[0].Association = &cloudsim.Association{Public: addr("203.0.113.7")}
	c := newECSClient(t, imds.Options{Source: g})
	c.want("/latest/meta-data/network/interfaces/macs/"+mac1+"/private-ipv4s", 404, "")
	c.want("/latest/meta-data/network/interfaces/macs/"+mac1+"/primary-ip-address", 404, "")
	c.want("/latest/meta-data/eipv4", 200, "203.0.113.7")
}

// The keys of a role are the vendor's in form, end, and are told anew before.
func TestECSRoleCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newECSClient(t, imds.Options{Role: func(string) string { return "web" }, KeysLast: time.Hour})
		read := func() (k map[string]string) {
			t.Helper()
			_, text := c.get("/latest/meta-data/ram/security-credentials/web")
			if err := json.Unmarshal([]byte(text), &k); err != nil {
				t.Fatalf("%v in %q", err, text)
			}
			return k
		}
		first := read()
		if first["Code"] != "Success" || !strings.HasPrefix(first["AccessKeyId"], "STS.") || first["Expiration"] != time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05Z") || len(first) != 6 {
			t.Errorf("%v", first)
		}
		if known, ok := c.service.Key(first["AccessKeyId"]); !ok || known.Secret != first["AccessKeySecret"] || known.Session != first["SecurityToken"] || known.Role != "web" || known.Instance != one {
			t.Errorf("known of it: %+v, %v", known, ok)
		}
		time.Sleep(55*time.Minute + time.Second)
		if next := read(); next["AccessKeyId"] == first["AccessKeyId"] {
			t.Error("the same keys until their end")
		}
		c.inject(imds.Fault{Verb: imds.OldKeys, Count: 1})
		if old := read(); old["Expiration"] > time.Now().UTC().Format(time.RFC3339) {
			t.Errorf("old keys end at %s", old["Expiration"])
		}
	})
}

func TestECSFaults(t *testing.T) {
	t.Parallel()
	for verb, want := range map[cloudsim.Verb]int{cloudsim.Throttle: 429, imds.Off: 403, cloudsim.HTML: 200, cloudsim.Empty: 200, imds.Forget: 401} {
		c := newECSClient(t, imds.Options{Optional: true})
		c.inject(imds.Fault{Verb: verb, Path: "/latest/meta-data", Count: 1})
		if code, text := c.get("/latest/meta-data/instance-id"); code != want || text == one {
			t.Errorf("%s: %d %q", verb, code, text)
		}
		c.want("/latest/meta-data/instance-id", 200, one)
	}
}

// The vendor's two clients of the service take a role's keys from it, in either
// mode. They know its address alone, so the way there is a proxy.
func TestTheVendorsClientsTakeCredentials(t *testing.T) {
	transport := http.DefaultTransport.(*http.Transport)
	proxy := transport.Proxy
	t.Cleanup(func() { transport.Proxy = proxy })
	for _, optional := range []bool{true, false} {
		var tokens, tokenless int
		service := imds.New(imds.Options{
			Source: newGuests(), Dialect: imds.ECS(), Role: func(string) string { return "web" }, Optional: optional,
			Seen: func(r imds.Request) {
				if r.Method == http.MethodPut {
					tokens++
				} else if r.Status == http.StatusUnauthorized {
					tokenless++
				}
			},
		})
		l, err := service.Listen(t.Context(), one, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at, err := url.Parse(l.URL)
		if err != nil {
			t.Fatal(err)
		}
		transport.Proxy = func(r *http.Request) (*url.URL, error) {
			r.Close = true // the vendor's client leaves its connections open
			if r.URL.Host != "100.100.100.200" {
				t.Errorf("asks %s", r.URL.Host)
			}
			return at, nil
		}
		instance, err := credentials.NewECSRAMRoleCredentialsProviderBuilder().WithDisableIMDSv1(true).Build()
		if err != nil {
			t.Fatal(err)
		}
		got, err := instance.GetCredentials()
		if err != nil {
			t.Fatalf("optional %v: %v", optional, err)
		}
		if known, ok := service.Key(got.AccessKeyId); !ok || known.Secret != got.AccessKeySecret || known.Session != got.SecurityToken {
			t.Errorf("the vendor's client has %s, which the service knows as %+v, %v", got.AccessKeyId, known, ok)
		}
		older, err := (&providers.InstanceMetadataProvider{}).Retrieve()
		if sts, ok := older.(*credentials.StsTokenCredential); err != nil || !ok || sts.AccessKeyId != got.AccessKeyId {
			t.Errorf("the vendor's older client has %T, %v", older, err)
		}
		if tokens < 2 || tokenless > 0 {
			t.Errorf("they asked for %d tokens, and %d times without one", tokens, tokenless)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
