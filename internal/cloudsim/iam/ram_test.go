package iam_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
)

func ramPolicy(t *testing.T, statements string) iam.Document {
	t.Helper()
	d, err := iam.RAM().Parse([]byte(`{"Version":"1","Statement":[` + statements + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func ramAccount() *iam.Account {
	return &iam.Account{Dialect: iam.RAM(), Region: "cn-hangzhou", ID: "1234567890123456"}
}

// What RAM's pages do not have is refused, with all faults at once.
func TestRAMParseFaults(t *testing.T) {
	t.Parallel()
	with := func(change ...string) string {
		return `{"Version":"1","Statement":[` + strings.NewReplacer(change...).Replace(
			`{"Effect":"Allow","Action":"ecs:A","Resource":"*","Condition":{"StringEquals":{"acs:RequestTag/team":"x"}}}`) + `]}`
	}
	if _, err := iam.RAM().Parse([]byte(with())); err != nil {
		t.Errorf("well: %v", err)
	}
	for text, want := range map[string][]string{
		`{"Version":"2012-10-17","Id":"p","Statement":[]}`:        {`"2012-10-17": want 1`, `its Id is "p"`, "no Statement"},
		with(`"Effect"`, `"Sid":"A","Effect"`):                    {`Sid "A": a statement has none here`},
		with(`"Resource"`, `"NotResource"`):                       {"NotResource is not known here"},
		with("ecs:A", "A"):                                        {"such as ecs:DescribeInstances"},
		with(`"Resource":"*"`, `"Resource":"arn:aws:ec2:*:*:x"`):  {"such as acs:ecs:*:*:eni/*"},
		with(`"Resource":"*"`, `"Resource":"acs:ecs:*:eni/*"`):    {"want * or an ARN"},
		with("StringEquals", "Null"):                              {`condition "Null": not known here`},
		with("StringEquals", "ForAllValues:StringEquals"):         {"not known here"},
		with("StringEquals", "StringEqualsIfExists"):              {"not known here"},
		with("StringEquals", "ArnLike"):                           {"not known here"},
		with("acs:RequestTag/team", "acs:RequestTag/"):            {`condition key "acs:RequestTag/": not known here`},
		with("acs:RequestTag/team", "aws:RequestTag/team"):        {"not known here"},
		with("acs:RequestTag/team", "team"):                       {"such as acs:RequestTag/team"},
		with("StringEquals", "IpAddress"):                         {`value "x" of acs:RequestTag/team: IpAddress cannot`},
		with("StringEquals", "DateLessThan"):                      {`DateLessThan cannot`},
		with(`"ecs:A"`, `"A"`, `"Effect":"Allow"`, `"Effect":""`): {"Action", "Effect"},
	} {
		_, err := iam.RAM().Parse([]byte(text))
		if err == nil {
			t.Errorf("accepted: %s", text)
			continue
		}
		for _, words := range want {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s\n%v\ndoes not say %s", text, err, words)
			}
		}
	}
}

// The operators are those of the vendor's page, on the keys of a call.
func TestRAMConditions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		card := cloudsim.Resource{Type: "network-interface", ID: "eni-1", Tags: cloudsim.Tags{"team": "red"}}
		made := cloudsim.Resource{Type: "network-interface", Wanted: cloudsim.Tags{"team": "blue"}}
		for condition, want := range map[string][2]bool{ // on what is there, on what is made
			`"StringEquals":{"acs:ResourceTag/team":"red"}`:                             {true, false},
			`"StringEquals":{"acs:RequestTag/team":["red","blue"]}`:                     {false, true},
			`"StringEquals":{"ecs:tag/team":"red"}`:                                     {true, false},
			`"StringEquals":{"ecs:tag/team":"blue"}`:                                    {false, true},
			`"StringEqualsIgnoreCase":{"ECS:Tag/team":"RED"}`:                           {true, false},
			`"StringNotEquals":{"acs:ResourceTag/team":"red"}`:                          {false, true}, // what has no tag is not red
			`"StringNotEqualsIgnoreCase":{"acs:ResourceTag/team":"RED"}`:                {false, true},
			`"StringLike":{"acs:ResourceTag/team":"r?*"}`:                               {true, false},
			`"StringNotLike":{"acs:ResourceTag/team":"r*"}`:                             {false, true},
			`"IpAddress":{"acs:SourceIp":["192.0.2.0/24","203.0.113.2"]}`:               {true, true},
			`"IpAddress":{"acs:SourceIp":"192.0.2.8"}`:                                  {false, false},
			`"NotIpAddress":{"acs:SourceIp":"192.0.2.0/24"}`:                            {false, false},
			`"NotIpAddress":{"acs:SourceIp":"2001:db8::/32"}`:                           {true, true},
			`"DateLessThan":{"acs:CurrentTime":"2026-01-02T03:04:06Z"}`:                 {true, true},
			`"DateLessThan":{"acs:CurrentTime":"2026-01-02T03:04:05Z"}`:                 {false, false},
			`"DateLessThanEquals":{"acs:CurrentTime":"2026-01-02T11:04:05+08:00"}`:      {true, true},
			`"DateGreaterThan":{"acs:CurrentTime":"2026-01-02T03:04:04Z"}`:              {true, true},
			`"DateGreaterThanEquals":{"acs:CurrentTime":"2026-01-02T03:04:06Z"}`:        {false, false},
			`"DateEquals":{"acs:CurrentTime":"2026-01-02T03:04:05Z"}`:                   {true, true},
			`"DateNotEquals":{"acs:CurrentTime":"2026-01-02T03:04:05Z"}`:                {false, false},
			`"StringEquals":{"ecs:tag/team":"red"},"IpAddress":{"acs:SourceIp":"::/0"}`: {false, false}, // all operators
		} {
			account := ramAccount()
			account.Attach(ours, "user/nicferryd", ramPolicy(t, `{"Effect":"Allow","Action":"ecs:*","Resource":"*","Condition":{`+condition+`}}`))
			call := cloudsim.Call{Caller: ours, Action: "DeleteNetworkInterface", From: netip.MustParseAddr("192.0.2.7")}
			for n, r := range []cloudsim.Resource{card, made} {
				if err := account.Allow(call, []cloudsim.Resource{r}); (err == nil) != want[n] {
					t.Errorf("%s on %+v: %v", condition, r, err)
				}
			}
		}
	})
}

// Actions and ARNs are the vendor's: of two services, without a case of actions,
// and of a kind as a whole where a list is asked for.
func TestRAMNames(t *testing.T) {
	t.Parallel()
	card := []cloudsim.Resource{{Type: "network-interface", ID: "eni-1"}}
	all := []cloudsim.Resource{{Type: "*"}}
	for _, tc := range []struct {
		action string
		on     []cloudsim.Resource
		allow  string // action and resource
		want   bool
	}{
		{"DeleteNetworkInterface", card, `"ecs:deletenetworkinterface","Resource":"acs:ecs:cn-hangzhou:1234567890123456:eni/eni-1"`, true},
		{"DeleteNetworkInterface", card, `"ecs:*","Resource":"acs:ecs:*:*:eni/*"`, true},
		{"DeleteNetworkInterface", card, `"ecs:*","Resource":"acs:ecs:*:*:instance/*"`, false},
		{"DeleteNetworkInterface", card, `"ecs:*","Resource":"acs:ecs:cn-beijing:*:eni/*"`, false},
		{"DeleteNetworkInterface", card, `"vpc:*","Resource":"*"`, false},
		{"AllocateEipAddress", []cloudsim.Resource{{Type: "elastic-ip"}}, `"vpc:AllocateEipAddress","Resource":"acs:vpc:*:*:eip/*"`, true},
		{"AllocateEipAddress", []cloudsim.Resource{{Type: "elastic-ip"}}, `"ecs:*","Resource":"*"`, false},
		{"DescribeVSwitches", all, `"vpc:Describe*","Resource":"acs:vpc:*:*:vswitch/*"`, true},
		{"DescribeVSwitches", all, `"ecs:Describe*","Resource":"*"`, false},
		{"DescribeInstances", all, `"ecs:Describe*","Resource":"acs:ecs:*:*:instance/*"`, true},
		{"DescribeInstances", all, `"ecs:Describe*","Resource":"acs:ecs:*:*:instance/i-1"`, false},
		{"DescribeInstanceTypes", all, `"ecs:Describe*","Resource":"acs:ecs:*:*:instance/*"`, false},
		{"DescribeInstanceTypes", all, `"ecs:Describe*","Resource":"*"`, true},
	} {
		account := ramAccount()
		account.Attach(ours, "user/nicferryd", ramPolicy(t, `{"Effect":"Allow","Action":`+tc.allow+`}`))
		if err := account.Allow(cloudsim.Call{Caller: ours, Action: tc.action}, tc.on); (err == nil) != tc.want {
			t.Errorf("%s, allowed %s: %v", tc.action, tc.allow, err)
		}
	}
}

// A role's policies go for each of its sessions, and for nobody else.
func TestARolesSessions(t *testing.T) {
	t.Parallel()
	for dialect, want := range map[string]string{
		"iam": "arn:aws:sts::1:assumed-role/node/i-1 is not authorized to perform: ec2:DeleteNetworkInterface on resource: arn:aws:ec2:r:1:network-interface/eni-1",
		"ram": "acs:ram::1:assumed-role/node/i-1 is not authorized to perform: ecs:DeleteNetworkInterface on resource: acs:ecs:r:1:eni/eni-1",
	} {
		account := &iam.Account{Region: "r", ID: "1", Assumed: func(key string) (iam.Session, bool) {
			return iam.Session{Role: "node", Name: "i-1"}, key == "STS.one"
		}}
		allow := policy
		if dialect == "ram" {
			account.Dialect, allow = iam.RAM(), ramPolicy
		}
		account.AttachRole("node", allow(t, `{"Effect":"Allow","Action":"*","Resource":"*"}`))
		call := cloudsim.Call{Caller: "STS.one", API: "DeleteNetworkInterface", Action: "DeleteNetworkInterface"}
		on := []cloudsim.Resource{{Type: "network-interface", ID: "eni-1"}}
		if err := account.Allow(call, on); err != nil {
			t.Errorf("%s: %v", dialect, err)
		}
		account.AttachRole("node")
		err := account.Allow(call, on)
		if r, ok := errors.AsType[*iam.Refusal](err); !ok || !r.Role || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", dialect, err, want)
		}
		call.Caller = "STS.two"
		if err := account.Allow(call, on); err == nil {
			t.Errorf("%s: a key of nobody's is allowed", dialect)
		}
	}
}

// S3: a user of RAM who may make interfaces with our tag, and change those alone,
// does that on the model, and nothing to those of others.
func TestS3_AScopedUserOfRAMTouchesTaggedInterfacesAlone(t *testing.T) {
	t.Parallel()
	account := ramAccount()
	account.Attach(ours, "user/nicferryd", ramPolicy(t, `
{"Effect":"Allow","Action":["ecs:Describe*","vpc:Describe*"],"Resource":"*"},
{"Effect":"Allow","Action":"ecs:CreateNetworkInterface","Resource":"acs:ecs:*:*:eni/*","Condition":{"StringEquals":{"acs:RequestTag/cluster":"c1"}}},
{"Effect":"Allow","Action":"ecs:CreateNetworkInterface","Resource":["acs:vpc:*:*:vswitch/*","acs:ecs:*:*:securitygroup/*"]},
{"Effect":"Allow","Action":["ecs:AttachNetworkInterface","ecs:DeleteNetworkInterface"],"Resource":["acs:ecs:*:*:eni/*","acs:ecs:*:*:instance/*"],
 "Condition":{"StringEquals":{"acs:ResourceTag/cluster":"c1"}}}`))
	account.Attach(admin, "user/admin", ramPolicy(t, `{"Effect":"Allow","Action":"*","Resource":"*"}`))
	c := cloudsim.New(ecs.Shape(cloudsim.Options{Policy: account}))
	t.Cleanup(c.Close)
	g := &guarded{c, t}
	vpc, err := c.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	g.must(err)
	subnet, err := c.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: "cn-hangzhou-a", CIDR: netip.MustParsePrefix("10.0.1.0/24")})
	g.must(err)
	node, err := c.AddInstances(cloudsim.RunInstances{Type: "ecs.g6.large", Subnet: subnet.ID, Tags: cloudsim.Tags{"cluster": "c1"}})
	g.must(err)
	call := func(caller, action string) cloudsim.Call { return cloudsim.Call{Caller: caller, Action: action} }
	create := func(caller, cluster string) (string, error) {
		i, err := c.CreateInterface(t.Context(), call(caller, "CreateNetworkInterface"), cloudsim.CreateInterface{Subnet: subnet.ID, Tags: cloudsim.Tags{"cluster": cluster}})
		return i.ID, err
	}
	refused := func(what string, err error, action, resource string) {
		t.Helper()
		r, ok := errors.AsType[*iam.Refusal](err)
		if !ok || r.Action != action || r.Resource != "acs:ecs:cn-hangzhou:1234567890123456:"+resource {
			t.Errorf("%s: %v; want it refused for %s on %s", what, err, action, resource)
		}
	}
	id, err := create(ours, "c1")
	g.must(err)
	_, err = create(ours, "c2")
	refused("create with another's tag", err, "ecs:CreateNetworkInterface", "eni/*")
	other, err := create(admin, "c2")
	g.must(err)
	refused("delete another's", c.DeleteInterface(t.Context(), call(ours, "DeleteNetworkInterface"), other), "ecs:DeleteNetworkInterface", "eni/"+other)
	_, err = c.AttachInterface(t.Context(), call(ours, "AttachNetworkInterface"), cloudsim.AttachInterface{Interface: other, Instance: node[0].ID, Device: cloudsim.AnyDevice})
	refused("attach another's", err, "ecs:AttachNetworkInterface", "eni/"+other)
	_, err = c.AttachInterface(t.Context(), call(ours, "AttachNetworkInterface"), cloudsim.AttachInterface{Interface: id, Instance: node[0].ID, Device: cloudsim.AnyDevice})
	g.must(err)
	refused("detach", c.DetachInterface(t.Context(), call(ours, "DetachNetworkInterface"), cloudsim.DetachInterface{Interface: id, Instance: node[0].ID, Again: true}), "ecs:DetachNetworkInterface", "eni/"+id)
	_, err = c.DescribeInterfaces(t.Context(), call(ours, "DescribeNetworkInterfaces"), cloudsim.Describe{})
	g.must(err)
}
