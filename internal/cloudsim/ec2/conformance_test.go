package ec2

import (
	"encoding/xml"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// furnished is a world with what the table of conformance names.
func furnished(t *testing.T) (*world, *strings.Replacer) {
	t.Helper()
	w := open(t, cloudsim.Options{})
	card := w.create("PrivateIpAddresses.1.PrivateIpAddress", "10.80.0.50", "PrivateIpAddresses.1.Primary", "true",
		"PrivateIpAddresses.2.PrivateIpAddress", "10.80.0.51") // first, before they are drawn
	free := w.create("Description", "free", "TagSpecification.1.ResourceType", "network-interface",
		"TagSpecification.1.Tag.1.Key", "Name", "TagSpecification.1.Tag.1.Value", "free")
	six := w.create("Ipv6Addresses.1.Ipv6Address", "fd80::77")
	empty, err := w.cloud.AddSubnet(cloudsim.Subnet{VPC: w.vpc, Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.80.1.0/24")})
	w.must(err)
	alone := w.ok("CreateNetworkInterface", "SubnetId", empty.ID, "PrivateIpAddress", "10.80.1.200").first("networkInterfaceId")
	for range 5 { // for a second page
		w.create()
	}
	first := w.ok("DescribeInstances", "InstanceId.1", w.instance).first("attachmentId")
	attachment := w.ok("AttachNetworkInterface", "NetworkInterfaceId", card, "InstanceId", w.instance, "DeviceIndex", "1").first("attachmentId")
	eip := w.ok("AllocateAddress", "Domain", "vpc").first("allocationId")
	return w, strings.NewReplacer("{subnet}", w.subnet, "{vpc}", w.vpc, "{group}", w.group, "{instance}", w.instance,
		"{eni}", free, "{six}", six, "{card}", card, "{attachment}", attachment, "{first}", first, "{eip}", eip,
		"{empty}", empty.ID, "{alone}", alone,
		"{primary}", "10.80.0.50", "{secondary}", "10.80.0.51")
}

// elements are the texts in a document by the names of their elements.
func elements(t *testing.T, text string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	var names []string
	var texts []string
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := decoder.Token()
		if err != nil {
			return all
		}
		switch token := token.(type) {
		case xml.StartElement:
			names, texts = append(names, token.Name.Local), append(texts, "")
		case xml.CharData:
			if len(texts) > 0 {
				texts[len(texts)-1] += string(token)
			}
		case xml.EndElement:
			last := len(names) - 1
			all[names[last]] = append(all[names[last]], strings.TrimSpace(texts[last]))
			names, texts = names[:last], texts[:last]
		}
	}
}

var expectation = regexp.MustCompile(`(?:^| )([+-]?)(\w+)([=~]?)`)

// meets holds an answer against an expectation of the table.
func meets(t *testing.T, got replied, want string) error {
	t.Helper()
	status, want, _ := strings.Cut(want, " ")
	if strconv.Itoa(got.status) != status {
		return fmt.Errorf("status %d, want %s", got.status, status)
	}
	has := elements(t, got.body)
	for want = strings.TrimSpace(want); want != ""; want = strings.TrimSpace(want) {
		m := expectation.FindStringSubmatch(want)
		if m == nil {
			return fmt.Errorf("%q says nothing", want)
		}
		sign, name, how := m[1], m[2], m[3]
		rest := strings.TrimPrefix(want, sign+name+how)
		var text string
		switch { // the text of a message has blanks and is the last; others have none
		case how == "~" && name == "Message":
			text, rest = rest, ""
		case how != "":
			text, rest, _ = strings.Cut(rest, " ")
		}
		texts, there := has[name]
		switch {
		case sign == "-" && there:
			return fmt.Errorf("there is <%s>", name)
		case sign != "-" && !there:
			return fmt.Errorf("there is no <%s>", name)
		}
		met := how == ""
		for _, one := range texts {
			met = met || how == "=" && one == text || how == "~" && strings.Contains(one, text)
		}
		if !met && sign != "-" {
			return fmt.Errorf("<%s> is %q, want %s%q", name, texts, how, text)
		}
		want = rest
	}
	return nil
}

// The face does what the table says, each row of which has its source.
func TestConformanceOfTheFace(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("testdata/conformance.tsv")
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile(`^[SDCTIK]( |$)|^none: `)
	rows := 0
	for line := range strings.Lines(string(table)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		row := strings.Split(line, "\t")
		if len(row) != 4 || !source.MatchString(row[3]) {
			t.Errorf("%q: want four columns, the last beginning with the kind of its source", line)
			continue
		}
		rows++
		t.Run(row[0], func(t *testing.T) {
			t.Parallel()
			w, fill := furnished(t)
			action, query, _ := strings.Cut(fill.Replace(row[1]), "&")
			values, err := url.ParseQuery(query)
			w.must(err)
			values.Set("Version", version)
			if action != "" {
				values.Set("Action", action)
			}
			got := w.send(values)
			w.must(got.err)
			if err := meets(t, got, fill.Replace(row[2])); err != nil {
				t.Errorf("%v in\n%s", err, got.body)
			}
			if got.first("requestId")+got.first("RequestID") == "" {
				t.Errorf("no id of the request in\n%s", got.body)
			}
		})
	}
	if rows < 70 {
		t.Errorf("%d rows", rows)
	}
}

// Refusals of the face itself have their source too.
func TestRefusalsHaveSources(t *testing.T) {
	t.Parallel()
	source := regexp.MustCompile(`^\[[SDCTIK]\]|^none: `)
	for why, r := range refusals() {
		if !source.MatchString(r.source) || r.code == "" || r.message == "" || r.status < 400 {
			t.Errorf("%s: %+v", why, r)
		}
	}
}
