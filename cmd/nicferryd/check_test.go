package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/daemon"
)

// denying is an EC2 that permits looks at everything, and nothing else.
func denying(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		api, code, status := r.Form.Get("Action"), "UnauthorizedOperation", 403
		if looks := strings.HasPrefix(api, "Describe"); looks && r.Form.Get("DryRun") == "true" {
			code, status = "DryRunOperation", 412
		} else if looks {
			set := map[string]string{"DescribeSubnets": `<subnetSet><item><subnetId>subnet-01234567</subnetId><vpcId>vpc-1</vpcId><availabilityZone>a</availabilityZone>` +
				`<cidrBlock>10.0.0.0/24</cidrBlock><availableIpAddressCount>7</availableIpAddressCount></item></subnetSet>`}
			fmt.Fprintf(w, `<%sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>%s</%[1]sResponse>`, api, set[api])
			return
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `<Response><Errors><Error><Code>%s</Code><Message>%s is refused`+"\u009b"+`</Message></Error></Errors><RequestID>r</RequestID></Response>`, code, api)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// runCheck is "nicferryd config check".
func runCheck(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, progress bytes.Buffer
	cmd := command()
	cmd.SetArgs(append([]string{"config", "check"}, args...))
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// A check names the permission that is missing, by its action, and ends with an error.
func TestConfigCheckOnline(t *testing.T) {
	noAWS(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	dir := t.TempDir()
	file := filepath.Join(dir, "nicferryd.yaml")
	text := fmt.Sprintf(`version: 1
store: %s/store.db
providers: [{name: cloud, kind: aws, aws: {region: eu-central-1, endpoint: %q}}, {name: here, kind: local}]
networks: [{name: vpc, provider: cloud, addressing: provider, aws: {subnets: [subnet-01234567]}}]
`, dir, denying(t))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(args ...string) (string, error) { return runCheck(t, args...) }
	out, err := check("--online", "--cluster", "cl-1", file)
	if !errors.Is(err, errLacking) {
		t.Errorf("it ends with %v", err)
	}
	for _, want := range []string{"permission ec2:CreateNetworkInterface is missing", "permission ec2:DescribeSubnets", "subnet subnet-01234567"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.ContainsRune(out, 0x9b) || strings.Contains(out, "cluster's id") {
		t.Errorf("it says\n%s", out)
	}
	if out, err = check("--online", "-o", "json", file); !errors.Is(err, errLacking) || !strings.Contains(out, `"about": "cluster's id"`) {
		t.Errorf("without the cluster's id: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "store.db")); err == nil {
		t.Error("it has made a store")
	}
	if out, err := check(file); err != nil || out != file+": ok\n" {
		t.Errorf("offline: %q, %v", out, err)
	}
	for _, args := range [][]string{{"-o", "yaml", file}, {file, file}, {filepath.Join(dir, "none.yaml")}} {
		if _, err := check(args...); !errors.As(err, new(daemon.UsageError)) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// So does one of Alibaba Cloud, where nothing is dry and nothing is made all the same.
func TestConfigCheckOnlineOfAliyun(t *testing.T) {
	noAliyun(t)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI5tEXAMPLEexampleKEY1")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "example")
	account := &iam.Account{Dialect: iam.RAM(), Region: "cn-hangzhou", ID: "1234567890123456"}
	looks, err := iam.RAM().Parse([]byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":["ecs:Describe*","ecs:List*","vpc:Describe*"],"Resource":"*"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	account.Attach("LTAI5tEXAMPLEexampleKEY1", "user/nicferryd", looks)
	cloud := cloudsim.New(ecs.Shape(cloudsim.Options{Policy: account}))
	t.Cleanup(cloud.Close)
	vpc, err := cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	subnet, err := cloud.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: "cn-hangzhou-h", CIDR: netip.MustParsePrefix("10.0.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	face := httptest.NewServer(ecs.New(ecs.Options{Cloud: cloud, Keys: func(access string) (ecs.Key, bool) {
		return ecs.Key{Secret: "example"}, access == "LTAI5tEXAMPLEexampleKEY1"
	}}))
	t.Cleanup(face.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "nicferryd.yaml")
	text := fmt.Sprintf(`version: 1
store: %s/store.db
providers: [{name: cloud, kind: aliyun, aliyun: {region: cn-hangzhou, endpoint: %q}}]
networks: [{name: vpc, provider: cloud, addressing: provider, aliyun: {vSwitches: [%s], securityGroups: [sg-01234567]}}]
`, dir, face.URL, subnet.ID)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := runCheck(t, "--online", "--cluster", "cl-1", file)
	if !errors.Is(err, errLacking) {
		t.Errorf("it ends with %v", err)
	}
	for _, want := range []string{"fault cloud vpc permission ecs:CreateNetworkInterface is missing: allow it as examples/aliyun does", "permission vpc:DescribeVSwitches", "subnet " + subnet.ID, "group sg-01234567 there is none"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "LTAI5tEXAMPLE") || strings.Contains(out, "Signature") {
		t.Errorf("it tells what is signed with:\n%s", out)
	}
	if n := len(cloud.Interfaces()); n != 0 {
		t.Errorf("%d interfaces were made", n)
	}
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
	if out, err = runCheck(t, "--online", "--cluster", "cl-1", file); !errors.Is(err, errLacking) || !strings.Contains(out, "ALIBABA_CLOUD_ACCESS_KEY_ID is not set") {
		t.Errorf("without credentials: %v\n%s", err, out)
	}
}
