package imds_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guests is a model that tells what it was told.
type guests struct {
	mu   sync.Mutex
	them map[string]cloudsim.Guest
	err  error
}

func (g *guests) Guest(id string) (cloudsim.Guest, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	guest, ok := g.them[id]
	if !ok {
		return guest, &cloudsim.Error{Code: "InvalidInstanceID.NotFound", Status: 400}
	}
	return guest, g.err
}

const (
	one    = "i-0aaaaaaaaaaaaaaa1"
	two    = "i-0aaaaaaaaaaaaaaa2"
	mac0   = "02:00:00:00:00:10"
	mac1   = "02:00:00:00:00:11"
	region = "eu-central-1"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// newGuests are two instances: one with a second NIC that has all there is, and
// one with a single NIC.
func newGuests() *guests {
	vpc := cloudsim.VPC{ID: "vpc-1", CIDR: prefix("10.0.0.0/16"), CIDR6: prefix("2001:db8::/56")}
	subnet := cloudsim.Subnet{ID: "subnet-1", VPC: vpc.ID, Zone: region + "a", ZoneID: "euc1-az2", CIDR: prefix("10.0.1.0/24"), CIDR6: prefix("2001:db8:0:1::/64")}
	nic := func(id string, last byte, device, card int) cloudsim.GuestInterface {
		return cloudsim.GuestInterface{
			Subnet: subnet, VPC: vpc, Cards: 2,
			Interface: cloudsim.Interface{
				ID: id, Subnet: subnet.ID, VPC: vpc.ID, Owner: "111122223333", MAC: cloudsim.MAC{2, 0, 0, 0, 0, last},
				IPv4:       []cloudsim.PrivateIP{{Addr: netip.AddrFrom4([4]byte{10, 0, 1, last}), Primary: true}},
				Groups:     []cloudsim.Group{{ID: "sg-1", Name: "web"}, {ID: "sg-2", Name: "all"}},
				Attachment: &cloudsim.Attachment{Device: device, Card: card, Status: cloudsim.Attached},
			},
		}
	}
	first, second, single := nic("eni-10", 0x10, 0, 0), nic("eni-11", 0x11, 1, 1), nic("eni-20", 0x20, 0, 0)
	second.Interface.IPv4[0].Association = &cloudsim.Association{Public: addr("203.0.113.7")}
	second.Interface.IPv4 = append(second.Interface.IPv4, cloudsim.PrivateIP{Addr: addr("10.0.1.99")})
	second.Interface.IPv6 = []netip.Addr{addr("2001:db8:0:1::5")}
	second.Interface.IPv4Prefixes = []netip.Prefix{prefix("10.0.1.32/28"), prefix("10.0.1.48/28")}
	second.Interface.IPv6Prefixes = []netip.Prefix{prefix("2001:db8:0:1:1::/80")}
	single.Cards, single.Subnet.CIDR6, single.VPC.CIDR6 = 1, netip.Prefix{}, netip.Prefix{}
	guest := func(id, kind string, nics ...cloudsim.GuestInterface) cloudsim.Guest {
		return cloudsim.Guest{
			Instance: cloudsim.Instance{
				ID: id, Type: kind, Image: "ami-1", Zone: subnet.Zone, Reservation: "r-1", Private: nics[0].Interface.IPv4[0].Addr,
				Launched: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Tags: cloudsim.Tags{"Name": "web"},
			},
			Interfaces: nics, Region: region, ZoneID: subnet.ZoneID, Account: "111122223333", VPC: vpc,
		}
	}
	return &guests{them: map[string]cloudsim.Guest{one: guest(one, "c6in.32xlarge", first, second), two: guest(two, "m5.large", single)}}
}

// client asks as one instance, without a network between.
type client struct {
	t        *testing.T
	service  *imds.Service
	instance string
	token    string
	// ttlHeader and tokenHeader are the cloud's.
	ttlHeader, tokenHeader string
}

func newClient(t *testing.T, o imds.Options) *client {
	if o.Source == nil {
		o.Source = newGuests()
	}
	c := &client{t: t, service: imds.New(o), instance: one, ttlHeader: ttlHeader, tokenHeader: tokenHeader}
	c.renew("21600")
	return c
}

// newECSClient is one of Alibaba Cloud's.
func newECSClient(t *testing.T, o imds.Options) *client {
	if o.Source == nil {
		o.Source = newGuests()
	}
	o.Dialect = imds.ECS()
	c := &client{
		t: t, service: imds.New(o), instance: one,
		ttlHeader: "X-aliyun-ecs-metadata-token-ttl-seconds", tokenHeader: "X-aliyun-ecs-metadata-token",
	}
	c.renew("21600")
	return c
}

func (c *client) ask(method, path string, header ...string) *httptest.ResponseRecorder {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.service.Handler(c.instance).ServeHTTP(w, r)
	return w
}

func (c *client) renew(ttl string) {
	c.t.Helper()
	w := c.ask("PUT", "/latest/api/token", c.ttlHeader, ttl)
	echo := ""
	if c.ttlHeader == ttlHeader { // EC2 says it again
		echo = ttl
	}
	if w.Code != http.StatusOK || w.Header().Get(c.ttlHeader) != echo {
		c.t.Fatalf("token: %d, TTL %q", w.Code, w.Header().Get(c.ttlHeader))
	}
	c.token = w.Body.String()
}

// get reads a path; the text is empty unless it is 200.
func (c *client) get(path string) (int, string) {
	c.t.Helper()
	w := c.ask("GET", path, c.tokenHeader, c.token)
	if w.Code != http.StatusOK {
		return w.Code, ""
	}
	return w.Code, w.Body.String()
}

func (c *client) want(path string, status int, text string) {
	c.t.Helper()
	if code, got := c.get(path); code != status || got != text {
		c.t.Errorf("%s: %d %q, want %d %q", path, code, got, status, text)
	}
}

const (
	ttlHeader   = "X-aws-ec2-metadata-token-ttl-seconds"
	tokenHeader = "X-aws-ec2-metadata-token"
)

// The vendor's documents say so, but where the name says otherwise.
func TestTokenRules(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, path string
		header       []string
		status       int
	}{
		"a token":                       {"PUT", "/latest/api/token", []string{ttlHeader, "1"}, 200},
		"the longest":                   {"PUT", "/latest/api/token", []string{ttlHeader, "21600"}, 200},
		"without TTL":                   {"PUT", "/latest/api/token", nil, 400},
		"TTL 0":                         {"PUT", "/latest/api/token", []string{ttlHeader, "0"}, 400},
		"TTL below 0":                   {"PUT", "/latest/api/token", []string{ttlHeader, "-1"}, 400},
		"TTL too long":                  {"PUT", "/latest/api/token", []string{ttlHeader, "21601"}, 400},
		"TTL no number":                 {"PUT", "/latest/api/token", []string{ttlHeader, "an hour"}, 400},
		"through a proxy":               {"PUT", "/latest/api/token", []string{ttlHeader, "60", "X-Forwarded-For", "10.0.0.1"}, 403},
		"through one that says nothing": {"PUT", "/latest/api/token", []string{ttlHeader, "60", "X-Forwarded-For", ""}, 403},
		"of a version":                  {"PUT", "/2021-01-03/api/token", []string{ttlHeader, "60"}, 403},
		"a read without":                {"GET", "/latest/meta-data/instance-id", nil, 401},
		"a read with another's":         {"GET", "/latest/meta-data/instance-id", []string{tokenHeader, "AQAE"}, 401},
		"a list without":                {"GET", "/", nil, 401},
		"not there, without":            {"GET", "/latest/meta-data/nothing", nil, 401},
		"a write (from memory)":         {"POST", "/latest/meta-data/instance-id", nil, 405},
		"put elsewhere (from memory)":   {"PUT", "/latest/meta-data/instance-id", []string{ttlHeader, "60"}, 405},
	} {
		c := newClient(t, imds.Options{})
		w := c.ask(tc.method, tc.path, tc.header...)
		if w.Code != tc.status {
			t.Errorf("%s: %d, want %d", name, w.Code, tc.status)
		}
		if wrong := w.Code != 200 && !strings.Contains(w.Body.String(), "<title>"); wrong {
			t.Errorf("%s: no page for %d: %q", name, w.Code, w.Body)
		}
	}
}

// All paths of the vendor's list that a NIC's software reads, on an instance of
// a type with two cards.
func TestPaths(t *testing.T) {
	t.Parallel()
	c := newClient(t, imds.Options{Tags: true, Role: func(string) string { return "web-role" }})
	const n0, n1 = "/latest/meta-data/network/interfaces/macs/" + mac0, "/latest/meta-data/network/interfaces/macs/" + mac1
	for path, want := range map[string]string{
		"/":                                                "1.0\nlatest",
		"/latest":                                          "dynamic\nmeta-data",
		"/latest/meta-data/instance-id":                    one,
		"/2021-07-15/meta-data/instance-id":                one,
		"/latest/meta-data/instance-type":                  "c6in.32xlarge",
		"/latest/meta-data/mac":                            mac0,
		"/latest/meta-data/local-ipv4":                     "10.0.1.16",
		"/latest/meta-data/hostname":                       "ip-10-0-1-16.eu-central-1.compute.internal",
		"/latest/meta-data/placement/availability-zone":    region + "a",
		"/latest/meta-data/placement/availability-zone-id": "euc1-az2",
		"/latest/meta-data/placement/region":               region,
		"/latest/meta-data/placement/":                     "availability-zone\navailability-zone-id\nregion",
		"/latest/meta-data/placement":                      "availability-zone\navailability-zone-id\nregion", // foo/ equals foo
		"/latest/meta-data/network":                        "interfaces/",
		"/latest/meta-data/network/interfaces/macs/":       mac0 + "/\n" + mac1 + "/",
		"/latest/meta-data/tags/instance/Name":             "web",
		"/latest/meta-data/iam":                            "info\nsecurity-credentials/",
		n0 + "/device-number":                              "0",
		n0 + "/network-card":                               "0",
		n1 + "/device-number":                              "1",
		n1 + "/network-card":                               "1", // as vpc-cni reads it
		n1 + "/network-card-index":                         "1", // as the vendor's page has it
		n1 + "/interface-id":                               "eni-11",
		n1 + "/interface-id/":                              "eni-11",
		n1 + "/subnet-id":                                  "subnet-1",
		n1 + "/vpc-id":                                     "vpc-1",
		n1 + "/owner-id":                                   "111122223333",
		n1 + "/local-hostname":                             "ip-10-0-1-17.eu-central-1.compute.internal",
		n1 + "/local-ipv4s":                                "10.0.1.17\n10.0.1.99",
		n1 + "/public-ipv4s":                               "203.0.113.7",
		n1 + "/ipv4-associations/":                         "203.0.113.7",
		n1 + "/ipv4-associations/203.0.113.7":              "10.0.1.17",
		n1 + "/ipv6s":                                      "2001:db8:0:1::5",
		n1 + "/ipv4-prefix":                                "10.0.1.32/28\n10.0.1.48/28",
		n1 + "/ipv6-prefix":                                "2001:db8:0:1:1::/80",
		n1 + "/security-groups":                            "web\nall",
		n1 + "/security-group-ids":                         "sg-1\nsg-2",
		n1 + "/subnet-ipv4-cidr-block":                     "10.0.1.0/24",
		n1 + "/subnet-ipv6-cidr-blocks":                    "2001:db8:0:1::/64",
		n1 + "/vpc-ipv4-cidr-block":                        "10.0.0.0/16",
		n1 + "/vpc-ipv4-cidr-blocks":                       "10.0.0.0/16",
		n1 + "/vpc-ipv6-cidr-blocks":                       "2001:db8::/56",
		"/latest/dynamic/":                                 "instance-identity/",
		"/latest/dynamic/instance-identity/":               "document\npkcs7\nrsa2048\nsignature",
	} {
		c.want(path, 200, want)
	}
	if w := c.ask("HEAD", n1+"/interface-id", tokenHeader, c.token); w.Code != 200 {
		t.Errorf("HEAD: %d, want 200", w.Code)
	}
	for _, name := range []string{"pkcs7", "rsa2048", "signature"} {
		if code, text := c.get("/latest/dynamic/instance-identity/" + name); code != 200 || text == "" {
			t.Errorf("%s: %d %q", name, code, text)
		}
	}
}

// What an instance has none of is 404: clients take that for none. The first
// five are as vpc-cni's tests have it; the card's index as somebody saw it.
func TestAbsentItems(t *testing.T) {
	t.Parallel()
	c := newClient(t, imds.Options{})
	const dir = "/latest/meta-data/network/interfaces/macs/"
	for _, path := range []string{
		dir + mac0 + "/ipv6s", dir + mac0 + "/ipv4-prefix", dir + mac0 + "/ipv6-prefix", dir + mac0 + "/public-ipv4s", dir + mac0 + "/ipv4-associations/",
		dir + "02:00:00:00:00:77/", dir + "02:00:00:00:00:77/interface-id", dir + mac0 + "/interface", dir + mac0 + "/interface-id/x",
		"/latest/meta-data/iam/", "/latest/meta-data/iam/security-credentials/", "/latest/meta-data/tags/instance/", "/latest/user-data",
		"/latest/meta-data/public-ipv4", "/latest/meta-dat", "/later/meta-data/", "/latest/dynamic/fws", "/latest/meta-data/../meta-data/mac",
	} {
		c.want(path, 404, "")
	}
	c.instance = two
	c.renew("60")
	for _, name := range []string{"network-card", "network-card-index", "subnet-ipv6-cidr-blocks", "vpc-ipv6-cidr-blocks"} {
		c.want(dir+"02:00:00:00:00:20/"+name, 404, "")
	}
	c.want(dir+"02:00:00:00:00:20/interface-id", 200, "eni-20")
}

// local-ipv4s is 404 on a NIC of IPv6 alone, says the vendor.
func TestInterfaceOfIPv6Alone(t *testing.T) {
	t.Parallel()
	g := newGuests()
	g.them[one].Interfaces[1].Interface.IPv4 = nil
	c := newClient(t, imds.Options{Source: g})
	c.want("/latest/meta-data/network/interfaces/macs/"+mac1+"/local-ipv4s", 404, "")
	c.want("/latest/meta-data/network/interfaces/macs/"+mac1+"/local-hostname", 404, "")
	c.want("/latest/meta-data/network/interfaces/macs/"+mac1+"/ipv6s", 200, "2001:db8:0:1::5")
}

func TestWithoutTokenWhereThatIsAllowed(t *testing.T) {
	t.Parallel()
	c := newClient(t, imds.Options{Optional: true})
	c.token = ""
	c.want("/latest/meta-data/instance-id", 200, one)
	c.token = "AQAE"
	c.want("/latest/meta-data/instance-id", 401, "")
}

func TestTokensAreOneInstances(t *testing.T) {
	t.Parallel()
	c := newClient(t, imds.Options{})
	c.want("/latest/meta-data/instance-id", 200, one)
	c.instance = two
	c.want("/latest/meta-data/instance-id", 401, "")
	c.renew("60")
	c.want("/latest/meta-data/instance-id", 200, two)
	c.instance = "i-0gone"
	c.renew("60") // the service is there before it knows of the instance
	c.want("/latest/meta-data/instance-id", 404, "")
}

func TestTheModelsErrorIsTheServices(t *testing.T) {
	t.Parallel()
	g := newGuests()
	c := newClient(t, imds.Options{Source: g})
	g.err = &cloudsim.Error{Code: "InternalError", Status: 503}
	c.want("/latest/meta-data/instance-id", 503, "")
	g.err = errors.New("odd")
	c.want("/latest/meta-data/instance-id", 404, "")
}
