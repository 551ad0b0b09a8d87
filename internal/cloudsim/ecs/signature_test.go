package ecs

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// The vendor's own example of the signature.
func TestSignAsDocumented(t *testing.T) {
	values, err := url.ParseQuery("Timestamp=2016-02-23T12:46:24Z&Format=XML&AccessKeyId=testid&Action=DescribeRegions" +
		"&SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Version=2014-05-26&SignatureVersion=1.0")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Sign("testsecret", http.MethodGet, values), "OLeaidS1JvxuMvnyHOwuJ+uX5qY="; got != want {
		t.Errorf("signed %s, want %s of\n%s", got, want, toSign(http.MethodGet, values))
	}
}

func TestVerify(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	tests := []struct {
		name   string
		change func(url.Values)
		late   func(url.Values) // after it was signed
		code   string
		status int
	}{
		{"well", nil, nil, "", 200},
		{"odd characters", func(v url.Values) { v.Set("NetworkInterfaceName", "a b*~+/ü%20") }, nil, "", 200},
		{"no signature", nil, func(v url.Values) { v.Del("Signature") }, "IncompleteSignature", 400},
		{"no nonce", func(v url.Values) { v.Del("SignatureNonce") }, nil, "IncompleteSignature", 400},
		{"changed", nil, func(v url.Values) { v.Set("PageSize", "7") }, "SignatureDoesNotMatch", 400},
		{"signed with SHA-256", func(v url.Values) { v.Set("SignatureMethod", "HMAC-SHA256") }, nil, "InvalidSignatureMethod", 400},
		{"unknown key", func(v url.Values) { v.Set("AccessKeyId", "other") }, nil, "InvalidAccessKeyId.NotFound", 404},
		{"token of nobody", func(v url.Values) { v.Set("SecurityToken", "x") }, nil, "InvalidSecurityToken.Malformed", 400},
		{"no date", func(v url.Values) { v.Set("Timestamp", "yesterday") }, nil, "InvalidTimeStamp.Format", 400},
		{"long ago", func(v url.Values) { v.Set("Timestamp", time.Now().Add(-16*time.Minute).UTC().Format(stamp)) }, nil, "InvalidTimeStamp.Expired", 400},
		{"ahead", func(v url.Values) { v.Set("Timestamp", time.Now().Add(16*time.Minute).UTC().Format(stamp)) }, nil, "InvalidTimeStamp.Expired", 400},
		{"nonce of before", func(v url.Values) { v.Set("SignatureNonce", "1") }, nil, "SignatureNonceUsed", 400},
		{"no region", func(v url.Values) { v.Del("RegionId") }, nil, "MissingParameter", 400},
		{"another region", func(v url.Values) { v.Set("RegionId", "cn-beijing") }, nil, "InvalidRegionId.NotFound", 404},
		{"another version", func(v url.Values) { v.Set("Version", vpcVersion) }, nil, "InvalidVersion", 400},
		{"a parameter twice", func(v url.Values) { v["VpcId"] = []string{"a", "b"} }, nil, "InvalidParameter", 400},
		{"another action", func(v url.Values) { v.Set("Action", "DescribeNothing") }, nil, "InvalidAction.NotFound", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := w.values("DescribeNetworkInterfaces")
			if tt.change != nil {
				tt.change(v)
			}
			v.Set("Signature", Sign("s3cret", http.MethodPost, v))
			if tt.late != nil {
				tt.late(v)
			}
			status, got := w.send(v)
			code, _ := got["Code"].(string)
			if status != tt.status || code != tt.code {
				t.Errorf("answered %d %v, want %d %s", status, got, tt.status, tt.code)
			}
			if said := fmt.Sprint(got["Message"]); tt.code == "SignatureDoesNotMatch" && !strings.HasSuffix(said, "server string to sign is:"+toSign(http.MethodPost, v)) {
				t.Errorf("the SDK cannot tell whose fault it is from %q", said)
			}
		})
	}
}

func TestVerifyTemporaryKeys(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	send := func(token string) (int, any) {
		v := w.values("DescribeNetworkInterfaces", "AccessKeyId", "brief", "SecurityToken", token)
		v.Set("Signature", Sign("b", http.MethodPost, v))
		status, got := w.send(v)
		return status, got["Code"]
	}
	if status, code := send("tok"); status != 200 {
		t.Errorf("answered %d %v", status, code)
	}
	if _, code := send("toc"); code != "InvalidSecurityToken.Malformed" {
		t.Errorf("another token is %v", code)
	}
	if _, err := w.cloud.Inject(cloudsim.Fault{Verb: cloudsim.ClockSkew, Delay: 61 * 60 * 1e9}); err != nil {
		t.Fatal(err)
	}
	if _, code := send("tok"); code != "InvalidSecurityToken.Expired" {
		t.Errorf("an expired key is %v", code)
	}
}
