package metadata

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// ECS is Alibaba Cloud's dialect, in its hardened mode, where a token must be asked
// for. An instance answers in that mode whatever it is set to.
func ECS() Dialect {
	return Dialect{
		cloud: "ECS", base: "http://100.100.100.200", tokenPath: "/latest/api/token",
		ttlHeader: "X-Aliyun-Ecs-Metadata-Token-Ttl-Seconds", tokenHeader: "X-Aliyun-Ecs-Metadata-Token",
		rolePath: "/latest/meta-data/ram/security-credentials/",
		identity: ecsIdentity, keys: ecsKeys,
		field: "aliyun.region", endpoint: ecsEndpoint,
	}
}

func ecsIdentity(ctx context.Context, c *Client) (Identity, error) {
	var doc struct {
		InstanceID   nic.InstanceID `json:"instance-id"`
		InstanceType string         `json:"instance-type"`
		Region       string         `json:"region-id"`
		Zone         string         `json:"zone-id"`
		Account      string         `json:"owner-account-id"`
	}
	if err := c.document(ctx, "/latest/dynamic/instance-identity/document", &doc); err != nil {
		return Identity{}, err
	}
	id := Identity{doc.InstanceID, doc.InstanceType, doc.Region, doc.Zone, doc.Account}
	return id, id.check("instance-id", "instance-type", "region-id", "zone-id")
}

// ecsKeys reads what the service gives out for a role. Nothing of it is in the error.
func ecsKeys(text string) (Keys, error) {
	var doc struct{ Code, AccessKeyID, AccessKeySecret, SecurityToken, Expiration string }
	if json.Unmarshal([]byte(text), &doc) != nil {
		return Keys{}, fmt.Errorf("%w: what it gives for keys is not JSON", ErrStrange)
	}
	ends, err := time.Parse(time.RFC3339, doc.Expiration)
	switch {
	case doc.Code != "Success":
		return Keys{}, fmt.Errorf("%w: it gives no keys: its Code is not Success", ErrRefused)
	case !isWord(doc.AccessKeyID) || !isWord(doc.AccessKeySecret) || !isWord(doc.SecurityToken):
		return Keys{}, fmt.Errorf("%w: of AccessKeyId, AccessKeySecret and SecurityToken one is not there", ErrStrange)
	case err != nil:
		return Keys{}, fmt.Errorf("%w: the Expiration of the keys is no time", ErrStrange)
	}
	return Keys{Access: doc.AccessKeyID, Secret: doc.AccessKeySecret, Token: doc.SecurityToken, Ends: ends}, nil
}

// ecsEndpoint heeds what the vendor's own tools are told: whether to ask at all.
func ecsEndpoint(getenv func(string) string) (string, error) {
	if strings.EqualFold(getenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED"), "true") {
		return "", fmt.Errorf("%w: ALIBABA_CLOUD_ECS_METADATA_DISABLED is set", ErrRefused)
	}
	return "", nil
}
