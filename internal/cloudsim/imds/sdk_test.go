package imds_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	sdk "github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

// newSDK is AWS's own client of the service, as it is shipped.
func newSDK(t *testing.T, service *imds.Service) *sdk.Client {
	t.Helper()
	l, err := service.Listen(t.Context(), one, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); l.Close() })
	return sdk.New(sdk.Options{
		Endpoint: l.URL, ClientEnableState: sdk.ClientEnabled, EnableFallback: aws.FalseTernary, HTTPClient: &http.Client{Transport: transport},
	})
}

func TestTheSDKReadsIt(t *testing.T) {
	t.Parallel()
	service := imds.New(imds.Options{Source: newGuests(), Role: func(string) string { return "web-role" }})
	c := newSDK(t, service)
	doc, err := c.GetInstanceIdentityDocument(t.Context(), nil)
	if err != nil || doc.InstanceID != one || doc.Region != region || doc.AccountID != "111122223333" || doc.PrivateIP != "10.0.1.16" || doc.PendingTime.Year() != 2026 {
		t.Errorf("document: %+v, %v", doc, err)
	}
	if got, err := c.GetRegion(t.Context(), nil); err != nil || got.Region != region {
		t.Errorf("region: %+v, %v", got, err)
	}
	info, err := c.GetIAMInfo(t.Context(), nil)
	if err != nil || !strings.HasSuffix(info.InstanceProfileArn, "/web-role") {
		t.Errorf("info: %+v, %v", info, err)
	}
	got, err := c.GetMetadata(t.Context(), &sdk.GetMetadataInput{Path: "network/interfaces/macs/" + mac1 + "/local-ipv4s"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(got.Content)
	if err = errors.Join(err, got.Content.Close()); err != nil || string(text) != "10.0.1.17\n10.0.1.99" {
		t.Errorf("local-ipv4s: %q, %v", text, err)
	}
	_, err = c.GetMetadata(t.Context(), &sdk.GetMetadataInput{Path: "network/interfaces/macs/" + mac0 + "/ipv6s"})
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); !ok || answer.HTTPStatusCode() != 404 {
		t.Errorf("what is absent: %v", err)
	}
}

// The SDK takes one new token for a 401, and signs with what the role gives.
func TestTheSDKTakesCredentials(t *testing.T) {
	t.Parallel()
	var puts atomic.Int32
	service := imds.New(imds.Options{
		Source: newGuests(), Role: func(string) string { return "web-role" },
		Seen: func(r imds.Request) {
			if r.Method == http.MethodPut {
				puts.Add(1)
			}
		},
	})
	c := newSDK(t, service)
	provider := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = c })
	for n := range int32(2) {
		got, err := provider.Retrieve(t.Context())
		if err != nil || !got.CanExpire || puts.Load() != n+1 {
			t.Fatalf("%v, may end: %v, %d tokens", err, got.CanExpire, puts.Load())
		}
		if known, ok := service.Key(got.AccessKeyID); !ok || known.Secret != got.SecretAccessKey || known.Session != got.SessionToken {
			t.Errorf("the SDK has %s, which the service knows as %+v, %v", got.AccessKeyID, known, ok)
		}
		if err := service.Inject(imds.Fault{Verb: imds.Forget, Count: 1, Path: "/latest/meta-data"}); err != nil {
			t.Fatal(err)
		}
	}
}
