package aws

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/eni"
)

const (
	testENI      = "eni-0123456789abcdef0"
	testInstance = nic.InstanceID("i-0123456789abcdef0")
	testSubnet   = "subnet-0123456789abcdef0"
	testNode     = "web1"
	testNIC      = nic.ID("nic-0123456789abcdef")
	testClaim    = nic.ClaimID("clm-0123456789abcdef")
	testZone     = "eu-central-1a"
)

// A script is an EC2 that says what it is told to. Unless told, there is one
// subnet and one instance, and nothing else.
type script struct {
	t   *testing.T
	log *bytes.Buffer

	mu    sync.Mutex
	says  map[string]func(url.Values) answer // by action
	calls []url.Values
}

// An answer is a status and a body; the body of 200 is what stands in the element
// of the action.
type answer struct {
	status int
	body   string
	raw    bool // the body is all there is
}

func refusal(status int, code, message string) answer {
	return answer{status: status, raw: true, body: "<Response><Errors><Error><Code>" + code + "</Code><Message>" + escape(message) +
		"</Message></Error></Errors><RequestID>req-1</RequestID></Response>"}
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// scripted returns a provider and the script that it talks to.
func scripted(t *testing.T) (*Provider, *script) {
	t.Helper()
	s := &script{t: t, says: map[string]func(url.Values) answer{}, log: &bytes.Buffer{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	p, err := New(t.Context(), Options{
		Name: "cloud", Cluster: "cl-1", Region: "eu-central-1", Endpoint: server.URL, HTTPClient: client, backoff: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, s
}

// say sets what an action is answered with from now on.
func (s *script) say(action string, a answer) { s.do(action, func(url.Values) answer { return a }) }

func (s *script) do(action string, f func(url.Values) answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says[action] = f
}

// made are the calls of an action so far.
func (s *script) made(action string) []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []url.Values
	for _, c := range s.calls {
		if c.Get("Action") == action {
			all = append(all, c)
		}
	}
	return all
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.t.Error(err)
	}
	action := r.PostForm.Get("Action")
	s.mu.Lock()
	s.calls = append(s.calls, r.PostForm)
	f := s.says[action]
	s.mu.Unlock()
	a := answer{body: standing(action)}
	if f != nil {
		a = f(r.PostForm)
	}
	w.Header().Set("Content-Type", "text/xml")
	if a.status == 0 {
		a.status = http.StatusOK
	}
	w.WriteHeader(a.status)
	if !a.raw {
		a.body = fmt.Sprintf("<%sResponse xmlns=%q><requestId>req-1</requestId>%s</%[1]sResponse>", action, "http://ec2.amazonaws.com/doc/2016-11-15/", a.body)
	}
	if _, err := w.Write([]byte(a.body)); err != nil && r.Context().Err() == nil {
		s.t.Error(err)
	}
}

// standing is what there is where nothing was told.
func standing(action string) string {
	switch action {
	case apiCreateInterface:
		return "<networkInterface>" + shown("pending", "") + "</networkInterface>"
	case apiAttachInterface:
		return "<attachmentId>eni-attach-1</attachmentId><networkCardIndex>0</networkCardIndex>"
	case apiDescribeInstances:
		return "<reservationSet><item><instancesSet><item><instanceId>" + string(testInstance) + "</instanceId><instanceType>m5.large</instanceType>" +
			"<instanceState><code>16</code><name>running</name></instanceState><placement><availabilityZone>" + testZone + "</availabilityZone></placement>" +
			"<networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><attachment><attachmentId>eni-attach-0</attachmentId>" +
			"<deviceIndex>0</deviceIndex><networkCardIndex>0</networkCardIndex><status>attached</status></attachment></item></networkInterfaceSet>" +
			"</item></instancesSet></item></reservationSet>"
	case apiDescribeSubnets:
		return "<subnetSet><item><subnetId>" + testSubnet + "</subnetId><availabilityZone>" + testZone + "</availabilityZone>" +
			"<cidrBlock>10.0.0.0/24</cidrBlock><availableIpAddressCount>200</availableIpAddressCount></item></subnetSet>"
	case apiDescribeTypes:
		return "<instanceTypeSet><item><instanceType>m5.large</instanceType><networkInfo><maximumNetworkInterfaces>3</maximumNetworkInterfaces>" +
			"<ipv4AddressesPerInterface>10</ipv4AddressesPerInterface></networkInfo></item></instanceTypeSet>"
	case apiAllocateAddress:
		return "<allocationId>eipalloc-1</allocationId><publicIp>192.0.2.9</publicIp>"
	}
	return "<return>true</return>"
}

// shown is an interface of ours in XML; with a status of its attachment, it has one.
func shown(status, attachment string) string {
	text := "<networkInterfaceId>" + testENI + "</networkInterfaceId><subnetId>" + testSubnet + "</subnetId><status>" + status + "</status>" +
		"<macAddress>0a:00:00:00:00:01</macAddress><privateIpAddress>10.0.0.8</privateIpAddress><sourceDestCheck>true</sourceDestCheck>" +
		"<privateIpAddressesSet><item><privateIpAddress>10.0.0.8</privateIpAddress><primary>true</primary></item>" +
		"<item><privateIpAddress>10.0.0.7</privateIpAddress><primary>false</primary></item></privateIpAddressesSet>" +
		"<tagSet><item><key>" + eni.TagNIC + "</key><value>" + string(testNIC) + "</value></item><item><key>" + eni.TagCluster + "</key><value>cl-1</value></item>" +
		"<item><key>" + eni.TagNode + "</key><value>" + testNode + "</value></item></tagSet>"
	if attachment != "" {
		text += "<attachment><attachmentId>eni-attach-1</attachmentId><instanceId>" + string(testInstance) + "</instanceId><deviceIndex>1</deviceIndex>" +
			"<networkCardIndex>0</networkCardIndex><status>" + attachment + "</status><deleteOnTermination>true</deleteOnTermination></attachment>"
	}
	return text
}

// shows has DescribeNetworkInterfaces show one.
func (s *script) shows(status, attachment string) {
	s.say(apiDescribeInterfaces, answer{body: "<networkInterfaceSet><item>" + shown(status, attachment) + "</item></networkInterfaceSet>"})
}

func (s *script) showsAddress() {
	s.say(apiDescribeAddresses, answer{body: "<addressesSet><item><allocationId>eipalloc-1</allocationId><associationId>eipassoc-1</associationId>" +
		"<publicIp>192.0.2.9</publicIp><networkInterfaceId>eni-9</networkInterfaceId></item></addressesSet>"})
}

func testSpec() nic.Spec {
	return nic.Spec{
		NIC: testNIC, Network: "vpc", Tenant: "default", Node: testNode,
		Cloud: nic.CloudSpec{Zone: testZone, Subnet: testSubnet, Groups: []string{"sg-0123456789abcdef0"}},
	}
}

func testPlace() nic.Place { return nic.Place{Node: testNode, Instance: testInstance} }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func texted(all ...string) []netip.Addr {
	var addrs []netip.Addr
	for _, s := range all {
		addrs = append(addrs, addr(s))
	}
	return addrs
}
