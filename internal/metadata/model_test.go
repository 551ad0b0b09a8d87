package metadata_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/nic"
)

// world is a cloud with one instance, and what that is told of itself.
type world struct {
	*cloudsim.Cloud
	t       *testing.T
	node    cloudsim.Instance
	service http.Handler
	client  *metadata.Client
	speech
}

// A speech is how one of the clouds spells it.
type speech struct {
	dialect            metadata.Dialect
	service            imds.Dialect
	ttl, token, cardID string
}

func speeches() map[string]speech {
	return map[string]speech{
		"EC2": {metadata.EC2(), imds.EC2(), "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "X-Aws-Ec2-Metadata-Token", "interface-id"},
		"ECS": {metadata.ECS(), imds.ECS(), "X-aliyun-ecs-metadata-token-ttl-seconds", "X-aliyun-ecs-metadata-token", "network-interface-id"},
	}
}

func newWorld(t *testing.T, said speech, o cloudsim.Options) *world {
	t.Helper()
	w := &world{Cloud: cloudsim.New(o), t: t, speech: said}
	t.Cleanup(w.Close)
	_, err := w.AddVPC(cloudsim.VPC{ID: "vpc-1", CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	w.must(err)
	_, err = w.AddSubnet(cloudsim.Subnet{ID: "subnet-1", VPC: "vpc-1", Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.0.1.0/24")})
	w.must(err)
	made, err := w.AddInstances(cloudsim.RunInstances{Type: "m5.large", Subnet: "subnet-1", Count: 1})
	w.must(err)
	w.node = made[0]
	w.service = imds.New(imds.Options{Source: w.Cloud, Dialect: said.service}).Handler(w.node.ID)
	w.client = w.restarted()
	return w
}

// restarted is a client that knows nothing yet.
func (w *world) restarted() *metadata.Client {
	c, _ := newClient(w.t, w.service, func(o *metadata.Options) { o.Dialect = w.dialect })
	return c
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// plug makes a NIC and attaches it; unplug takes it out and ends it.
func (w *world) plug(device int) (id, attachment string) {
	w.t.Helper()
	i, err := w.CreateInterface(w.t.Context(), cloudsim.Call{}, cloudsim.CreateInterface{Subnet: "subnet-1"})
	w.must(err)
	a, err := w.AttachInterface(w.t.Context(), cloudsim.Call{}, cloudsim.AttachInterface{Interface: i.ID, Instance: w.node.ID, Device: device})
	w.must(err)
	return i.ID, a.ID
}

func (w *world) unplug(id, attachment string) {
	w.t.Helper()
	w.must(w.DetachInterface(w.t.Context(), cloudsim.Call{}, cloudsim.DetachInterface{Attachment: attachment}))
	w.must(w.DeleteInterface(w.t.Context(), cloudsim.Call{}, id))
}

// ask is what the service answers to whoever has a token.
func (w *world) ask(path string) string {
	w.t.Helper()
	send := func(method, path, header, value string) string {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set(header, value)
		answer := httptest.NewRecorder()
		w.service.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			w.t.Fatalf("%s %s: %d", method, path, answer.Code)
		}
		return answer.Body.String()
	}
	token := send(http.MethodPut, "/latest/api/token", w.ttl, "60")
	return send(http.MethodGet, path, w.token, token)
}

// tells fails unless metadata tell of the first NIC and these others.
func (w *world) tells(others ...string) {
	w.t.Helper()
	const macs = "/latest/meta-data/network/interfaces/macs/"
	var ids []string
	first := 0
	for _, mac := range strings.Fields(w.ask(macs)) {
		if w.ask("/latest/meta-data/mac")+"/" == mac {
			first++
			continue
		}
		ids = append(ids, w.ask(macs+mac+w.cardID))
	}
	if !slices.Equal(ids, others) || first != 1 {
		w.t.Errorf("metadata tell of %d first NICs and %q, want one and %q", first, ids, others)
	}
}

// A NIC is told of once it is attached, and metadata lag by as much as they are set to.
func TestMetadataOfTheModelLag(t *testing.T) {
	t.Parallel()
	for name, said := range speeches() {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { lags(t, said) }) })
	}
}

func lags(t *testing.T, said speech) {
	lag := cloudsim.Range{Min: 3 * time.Second, Max: 3 * time.Second}
	w := newWorld(t, said, cloudsim.Options{Lag: cloudsim.Lag{Metadata: lag}})
	time.Sleep(time.Minute)
	w.tells()
	id, attachment := w.plug(1)
	time.Sleep(2 * time.Second)
	w.tells()
	time.Sleep(2 * time.Second)
	w.tells(id)
	w.unplug(id, attachment)
	w.tells(id)
	time.Sleep(4 * time.Second)
	w.tells()
}

// F05: for ten minutes, around a restart, metadata are those of an hour ago:
// they tell of a NIC that is gone, and not of one that is in use. What we take
// from them is who the instance is, which is the same. That nothing else of ours
// reads them is a row of internal/archtest. The cloud is asked for nothing.
func TestF05_OldMetadataChangeNothing(t *testing.T) {
	t.Parallel()
	for name, said := range speeches() {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { oldMetadata(t, said) }) })
	}
}

func oldMetadata(t *testing.T, said speech) {
	w := newWorld(t, said, cloudsim.Options{})
	gone, attachment := w.plug(1)
	time.Sleep(time.Minute)
	w.tells(gone)
	before, err := w.client.Identity(t.Context())
	w.must(err)
	time.Sleep(time.Hour)
	w.unplug(gone, attachment)
	used, _ := w.plug(2)
	calls := len(w.Log(0))
	_, err = w.Inject(cloudsim.Fault{
		Verb: cloudsim.StaleDescribe, API: "Metadata", Delay: nic.Duration(time.Hour), For: nic.Duration(10 * time.Minute),
	})
	w.must(err)
	for minute := range 10 {
		if minute == 5 {
			w.client = w.restarted()
		}
		w.tells(gone) // and not of the one in use: the answer is old
		if now, err := w.client.Identity(t.Context()); now != before || err != nil {
			t.Errorf("minute %d: %+v, %v; it was %+v", minute, now, err, before)
		}
		time.Sleep(time.Minute)
	}
	w.tells(used)
	if now := len(w.Log(0)); now != calls {
		t.Errorf("%d calls to the cloud came of reading metadata: %+v", now-calls, w.Log(0)[calls:])
	}
}
