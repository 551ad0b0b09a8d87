package ec2

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

var update = flag.Bool("update", false, "write testdata/clients.json anew")

// A step is one command, as a person types it at Debian's awscli and as a
// program says it to Debian's boto3. {name} stands for what an earlier step has kept.
type step struct {
	cli string
	api string // boto3's method
	arg string // and its arguments, in JSON
	// keep are paths of what later steps need, by name.
	keep map[string]string
	// until is a path and what has to be there before the script goes on.
	until [2]string
	// refused is the code of the error that has to come.
	refused string
}

// script is the life of an interface.
func script() []step {
	const card = "NetworkInterfaces.0."
	return []step{
		{
			cli: "describe-subnets --filters Name=vpc-id,Values={vpc}",
			api: "describe_subnets", arg: `{"Filters":[{"Name":"vpc-id","Values":["{vpc}"]}]}`,
			keep: map[string]string{"subnet": "Subnets.0.SubnetId"},
		},
		{
			cli: "create-network-interface --subnet-id {subnet} --groups {group} --description container --client-token nic-1 " +
				"--tag-specifications ResourceType=network-interface,Tags=[{Key=nicferry.io/nic,Value=nic-1}]",
			api: "create_network_interface", arg: `{"SubnetId":"{subnet}","Groups":["{group}"],"Description":"container","ClientToken":"nic-1",
				"TagSpecifications":[{"ResourceType":"network-interface","Tags":[{"Key":"nicferry.io/nic","Value":"nic-1"}]}]}`,
			keep: map[string]string{"eni": "NetworkInterface.NetworkInterfaceId"},
		},
		{
			cli: "describe-network-interfaces --filters Name=tag:nicferry.io/nic,Values=nic-*",
			api: "describe_network_interfaces", arg: `{"Filters":[{"Name":"tag:nicferry.io/nic","Values":["nic-*"]}]}`,
			until: [2]string{card + "Status", "available"},
		},
		{
			cli: "attach-network-interface --network-interface-id {eni} --instance-id {instance} --device-index 1 --network-card-index 0",
			api: "attach_network_interface", arg: `{"NetworkInterfaceId":"{eni}","InstanceId":"{instance}","DeviceIndex":1,"NetworkCardIndex":0}`,
			keep: map[string]string{"attachment": "AttachmentId"},
		},
		{
			cli: "describe-network-interfaces --network-interface-ids {eni}",
			api: "describe_network_interfaces", arg: `{"NetworkInterfaceIds":["{eni}"]}`,
			until: [2]string{card + "Attachment.Status", "attached"},
		},
		{
			cli: "modify-network-interface-attribute --network-interface-id {eni} --attachment AttachmentId={attachment},DeleteOnTermination=true",
			api: "modify_network_interface_attribute", arg: `{"NetworkInterfaceId":"{eni}","Attachment":{"AttachmentId":"{attachment}","DeleteOnTermination":true}}`,
		},
		{
			cli: "assign-private-ip-addresses --network-interface-id {eni} --secondary-private-ip-address-count 2",
			api: "assign_private_ip_addresses", arg: `{"NetworkInterfaceId":"{eni}","SecondaryPrivateIpAddressCount":2}`,
		},
		{
			cli: "create-tags --resources {eni} --tags Key=Name,Value=web",
			api: "create_tags", arg: `{"Resources":["{eni}"],"Tags":[{"Key":"Name","Value":"web"}]}`,
		},
		{
			cli: "describe-instances --instance-ids {instance}",
			api: "describe_instances", arg: `{"InstanceIds":["{instance}"]}`,
			until: [2]string{"Reservations.0.Instances.0.NetworkInterfaces.1.Attachment.DeleteOnTermination", "true"},
		},
		{
			cli: "detach-network-interface --attachment-id {attachment}",
			api: "detach_network_interface", arg: `{"AttachmentId":"{attachment}"}`,
		},
		{
			cli: "describe-network-interfaces --filters Name=network-interface-id,Values={eni}",
			api: "describe_network_interfaces", arg: `{"Filters":[{"Name":"network-interface-id","Values":["{eni}"]}]}`,
			until: [2]string{card + "Status", "available"},
		},
		{
			cli: "delete-network-interface --network-interface-id {eni}",
			api: "delete_network_interface", arg: `{"NetworkInterfaceId":"{eni}"}`,
		},
		{
			cli: "describe-network-interfaces --network-interface-ids {eni}",
			api: "describe_network_interfaces", arg: `{"NetworkInterfaceIds":["{eni}"]}`,
			refused: "InvalidNetworkInterfaceID.NotFound",
		},
	}
}

// found is what is at a path such as Subnets.0.SubnetId.
func found(v any, path string) string {
	for part := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[part]
		case []any:
			var n int
			if _, err := fmt.Sscan(part, &n); err != nil || n >= len(in) {
				return ""
			}
			v = in[n]
		}
	}
	return fmt.Sprint(v)
}

// A typist carries out a step and returns what came, or the error's code.
type typist func(t *testing.T, s step, fill func(string) string) (out any, refused string)

// play plays the script in a world of its own.
func play(t *testing.T, start func(*testing.T, *world) typist) []any {
	t.Helper()
	w := open(t, cloudsim.Options{Seed: 7, Latency: cloudsim.Latency{
		Create: cloudsim.Range{Min: 50 * time.Millisecond, Max: 50 * time.Millisecond},
		Attach: cloudsim.Range{Min: 300 * time.Millisecond, Max: 300 * time.Millisecond},
		Detach: cloudsim.Range{Min: 300 * time.Millisecond, Max: 300 * time.Millisecond},
	}})
	types := start(t, w)
	kept := map[string]string{"vpc": w.vpc, "group": w.group, "instance": w.instance}
	fill := func(text string) string {
		for name, value := range kept {
			text = strings.ReplaceAll(text, "{"+name+"}", value)
		}
		return text
	}
	var all []any
	for _, s := range script() {
		deadline := time.Now().Add(30 * time.Second)
		out, refused := types(t, s, fill)
		for s.until[0] != "" && found(out, s.until[0]) != s.until[1] {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s is not %q in %v", s.cli, s.until[0], s.until[1], out)
			}
			out, refused = types(t, s, fill)
		}
		if refused != s.refused {
			t.Fatalf("%s: refused with %q, want %q", fill(s.cli), refused, s.refused)
		}
		for name, path := range s.keep {
			kept[name] = found(out, path)
		}
		all = append(all, out)
	}
	return all
}

// env is what both clients need, and nothing of this machine's.
func env(t *testing.T) []string {
	t.Helper()
	return []string{
		"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "AWS_DEFAULT_OUTPUT=json",
		"AWS_ACCESS_KEY_ID=AKIATEST", "AWS_SECRET_ACCESS_KEY=secret/+=", "AWS_DEFAULT_REGION=eu-central-1", "AWS_MAX_ATTEMPTS=1",
	}
}

// decoded reads a client's JSON, and takes out what differs from run to run.
func decoded(t *testing.T, text []byte) any {
	t.Helper()
	if len(strings.TrimSpace(string(text))) == 0 {
		return map[string]any{}
	}
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)`).ReplaceAll(text, []byte("TIME"))
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// byHand types at awscli.
func byHand(t *testing.T, w *world) typist {
	t.Helper()
	env := env(t)
	return func(t *testing.T, s step, fill func(string) string) (any, string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "/usr/bin/aws", append([]string{"--endpoint-url", w.url, "ec2"}, strings.Fields(fill(s.cli))...)...)
		cmd.Env = env
		out, err := cmd.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			m := regexp.MustCompile(`An error occurred \(([\w.]+)\)`).FindSubmatch(exit.Stderr)
			if m == nil {
				t.Fatalf("%s: %s", fill(s.cli), exit.Stderr)
			}
			return map[string]any{}, string(m[1])
		}
		if err != nil {
			t.Fatalf("run awscli (Debian's awscli): %v", err)
		}
		return decoded(t, out), ""
	}
}

// boto3 carries out one call a line, and answers with a line.
const boto3 = `
import json, sys
import boto3, botocore
client = boto3.client("ec2", endpoint_url=sys.argv[1])
for line in sys.stdin:
    api, arg = json.loads(line)
    try:
        out = getattr(client, api)(**arg)
        out.pop("ResponseMetadata")
        print(json.dumps({"out": out}, default=lambda t: t.isoformat()), flush=True)
    except botocore.exceptions.ClientError as e:
        print(json.dumps({"refused": e.response["Error"]["Code"]}), flush=True)
`

// byProgram speaks to boto3.
func byProgram(t *testing.T, w *world) typist {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute) // it outlives the test by its last words
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", boto3, w.url)
	cmd.Env, cmd.Stderr = env(t), os.Stderr
	stdin, err := cmd.StdinPipe()
	w.must(err)
	stdout, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	t.Cleanup(func() {
		defer cancel()
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("boto3 (Debian's python3-boto3): %v", err)
		}
	})
	lines := bufio.NewReader(stdout)
	return func(t *testing.T, s step, fill func(string) string) (any, string) {
		t.Helper()
		line := fmt.Sprintf("[%q, %s]\n", s.api, strings.Join(strings.Fields(fill(s.arg)), " "))
		if _, err := io.WriteString(stdin, line); err != nil {
			t.Fatal(err)
		}
		text, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		answer := decoded(t, text).(map[string]any)
		if refused, ok := answer["refused"].(string); ok {
			return map[string]any{}, refused
		}
		return answer["out"], ""
	}
}

// lasting takes out of what a client saw what the cloud has drawn.
func lasting(t *testing.T, all []any) []any {
	t.Helper()
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for pattern, to := range map[string]string{
		`\b(eni-attach|eni|subnet|vpc|sg|i|r)-[0-9a-f]{8,17}\b`: "$1-0", `\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`: "MAC",
		`\b10([.-])80[.-]0[.-]\d{1,3}\b`: "10${1}80${1}0${1}x",
	} {
		text = regexp.MustCompile(pattern).ReplaceAll(text, []byte(to))
	}
	var out []any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Debian's awscli and boto3 drive an interface through its life, in worlds of the
// same seed. They see the same at each step, to the last id, and it is what
// testdata has of it.
func TestDebiansClients(t *testing.T) {
	t.Parallel()
	var hand, program []any
	t.Run("both", func(t *testing.T) {
		t.Run("awscli", func(t *testing.T) {
			t.Parallel()
			hand = play(t, byHand)
		})
		t.Run("boto3", func(t *testing.T) {
			t.Parallel()
			program = play(t, byProgram)
		})
	})
	if t.Failed() {
		return
	}
	const golden = "testdata/clients.json"
	if *update {
		text, err := json.MarshalIndent(lasting(t, program), "", "  ")
		if err == nil {
			err = os.WriteFile(golden, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var want []any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got := lasting(t, program)
	if len(got) != len(want) || len(hand) != len(program) || len(script()) != len(want) {
		t.Fatalf("%d and %d steps, want %d", len(hand), len(got), len(want))
	}
	for i := range want {
		if diff := cmp.Diff(want[i], got[i]); diff != "" {
			t.Errorf("boto3: %s (-want +got):\n%s", script()[i].api, diff)
		}
		if diff := cmp.Diff(program[i], hand[i]); diff != "" {
			t.Errorf("%s (-boto3 +awscli):\n%s", script()[i].cli, diff)
		}
	}
}
