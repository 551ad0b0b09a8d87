package imds

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// identity is the instance identity document. The names are EC2's, and so are
// those that are always null.
type identity struct {
	AccountID               string    `json:"accountId"`
	Architecture            string    `json:"architecture"`
	AvailabilityZone        string    `json:"availabilityZone"`
	BillingProducts         []string  `json:"billingProducts"`
	DevpayProductCodes      []string  `json:"devpayProductCodes"`
	MarketplaceProductCodes []string  `json:"marketplaceProductCodes"`
	ImageID                 string    `json:"imageId"`
	InstanceID              string    `json:"instanceId"`
	InstanceType            string    `json:"instanceType"`
	KernelID                *string   `json:"kernelId"`
	PendingTime             time.Time `json:"pendingTime"`
	PrivateIP               string    `json:"privateIp"`
	RamdiskID               *string   `json:"ramdiskId"`
	Region                  string    `json:"region"`
	Version                 string    `json:"version"`
}

// ec2Identity answers below dynamic. What stands for signatures is none that
// AWS's certificates would verify.
func ec2Identity(g *cloudsim.Guest, path string) answer {
	const dir = "instance-identity"
	i := g.Instance
	doc := identity{
		AccountID: g.Account, Architecture: "x86_64", AvailabilityZone: i.Zone, ImageID: i.Image, InstanceID: i.ID, InstanceType: i.Type,
		PendingTime: i.Launched.UTC().Truncate(time.Second), Region: g.Region, Version: "2017-09-30",
	}
	if i.Private.IsValid() {
		doc.PrivateIP = i.Private.String()
	}
	switch strings.Trim(path, "/") {
	case "":
		return plain(dir + "/")
	case dir:
		return plain("document\npkcs7\nrsa2048\nsignature")
	case dir + "/document":
		return document(doc)
	case dir + "/pkcs7", dir + "/rsa2048", dir + "/signature":
		return unsigned(doc)
	}
	return refusal(http.StatusNotFound)
}

// unsigned stands for a document's signature.
func unsigned(doc any) answer {
	text, err := json.Marshal(doc)
	if err != nil {
		return refusal(http.StatusInternalServerError)
	}
	sum := sha256.Sum256(text)
	return plain(base64.StdEncoding.EncodeToString(sum[:]))
}
