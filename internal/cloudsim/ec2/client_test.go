package ec2

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A world is a cloud with a face, on loopback.
type world struct {
	*testing.T
	cloud    *cloudsim.Cloud
	url      string
	client   *http.Client
	subnet   string
	group    string
	vpc      string
	instance string
}

// open makes a world with one subnet and one instance.
func open(t *testing.T, o cloudsim.Options) *world {
	t.Helper()
	w := &world{T: t, cloud: cloudsim.New(o), client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	t.Cleanup(w.cloud.Close)
	vpc, err := w.cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.80.0.0/16"), CIDR6: netip.MustParsePrefix("fd80::/56")})
	w.must(err)
	subnet, err := w.cloud.AddSubnet(cloudsim.Subnet{
		VPC: vpc.ID, Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.80.0.0/24"), CIDR6: netip.MustParsePrefix("fd80::/64"),
	})
	w.must(err)
	group, err := w.cloud.AddGroup(cloudsim.SecurityGroup{Name: "containers", Description: "for containers", VPC: vpc.ID})
	w.must(err)
	made, err := w.cloud.AddInstances(cloudsim.RunInstances{Type: "m5.large", Subnet: subnet.ID})
	w.must(err)
	w.vpc, w.subnet, w.group, w.instance = vpc.ID, subnet.ID, group.ID, made[0].ID
	server := httptest.NewServer(New(Options{Cloud: w.cloud, Keys: testKeys(time.Now().Add(time.Hour))}))
	t.Cleanup(server.Close)
	w.url = server.URL + "/"
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// A replied is an answer as it came.
type replied struct {
	status int
	header http.Header
	body   string
	err    error // of the connection
}

// call calls an action with parameters in pairs.
func (w *world) call(api string, pairs ...string) replied {
	w.Helper()
	values := url.Values{"Action": {api}, "Version": {version}}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return w.send(values)
}

// send signs as the SDK does; that it is right, botocore's signatures show.
func (w *world) send(values url.Values) replied {
	w.Helper()
	body := values.Encode()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.url, strings.NewReader(body))
	w.must(err)
	now := w.cloud.Clock().UTC()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Amz-Date", now.Format(stamp))
	r.Host = r.URL.Host
	a := authorization{
		access: "AKIATEST", date: now.Format("20060102"), region: w.cloud.Region(), service: "ec2",
		signed: []string{"content-type", "host", "x-amz-date"},
	}
	a.signature = a.sign(r, []byte(body), "secret/+=", now)
	r.Header.Set("Authorization", algorithm+" Credential="+a.access+"/"+a.scope()+", SignedHeaders="+strings.Join(a.signed, ";")+", Signature="+a.signature)
	answer, err := w.client.Do(r)
	if err != nil {
		return replied{err: err}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return replied{answer.StatusCode, answer.Header, string(text), err}
}

// ok calls what has to work.
func (w *world) ok(api string, pairs ...string) replied {
	w.Helper()
	got := w.call(api, pairs...)
	if got.err != nil || got.status != http.StatusOK {
		w.Fatalf("%s %q: %v, %d\n%s", api, pairs, got.err, got.status, got.body)
	}
	return got
}

// create makes an interface and returns its id.
func (w *world) create(pairs ...string) string {
	w.Helper()
	return w.ok("CreateNetworkInterface", append([]string{"SubnetId", w.subnet}, pairs...)...).first("networkInterfaceId")
}

// all are the texts of the elements of a name.
func (r replied) all(name string) []string {
	var found []string
	decoder := xml.NewDecoder(strings.NewReader(r.body))
	for {
		token, err := decoder.Token()
		if err != nil {
			return found
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == name {
			var text string
			if decoder.DecodeElement(&text, &start) == nil {
				found = append(found, text)
			}
		}
	}
}

// first is the text of the first element of a name, or "".
func (r replied) first(name string) string {
	if all := r.all(name); len(all) > 0 {
		return all[0]
	}
	return ""
}
