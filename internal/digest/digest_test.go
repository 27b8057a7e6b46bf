package digest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func lookup(name string) (Member, bool) {
	for _, m := range Members() {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

func mustDigest(t *testing.T, name string, args ...string) string {
	t.Helper()
	m, ok := lookup(name)
	require.True(t, ok, name)
	sum, err := m.Sum(context.Background(), args)
	require.NoError(t, err)
	return sum
}

// Every member, in documented order. The values are Python's hashlib and
// hmac's, MD2's those of a second implementation in Python.
func TestDigestMembers(t *testing.T) {
	t.Parallel()
	const (
		key       = "Schlüssel"
		hexKey    = "5363686cc3bc7373656c"
		base64Key = "U2NobMO8c3NlbA=="
		data      = "Grüße, 世界 🎮"
	)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"hmacMd5Hex", []string{key, data}, "3f7e1a7cabd66b18439d6b3ce273f651"},
		{"hmacMd5Base64", []string{key, data}, "P34afKvWaxhDnWs84nP2UQ=="},
		{"hmacMd5HexWithHexKey", []string{hexKey, data}, "3f7e1a7cabd66b18439d6b3ce273f651"},
		{"hmacMd5Base64WithBase64Key", []string{base64Key, data}, "P34afKvWaxhDnWs84nP2UQ=="},
		{"hmacMd5Base64WithHexKey", []string{hexKey, data}, "P34afKvWaxhDnWs84nP2UQ=="},
		{"hmacMd5HexWithBase64Key", []string{base64Key, data}, "3f7e1a7cabd66b18439d6b3ce273f651"},
		{"hmacSha1Hex", []string{key, data}, "a93e85fcaab5af82bbd9cf2dd6064080307457da"},
		{"hmacSha1Base64", []string{key, data}, "qT6F/Kq1r4K72c8t1gZAgDB0V9o="},
		{"hmacSha1HexWithHexKey", []string{hexKey, data}, "a93e85fcaab5af82bbd9cf2dd6064080307457da"},
		{"hmacSha1Base64WithBase64Key", []string{base64Key, data}, "qT6F/Kq1r4K72c8t1gZAgDB0V9o="},
		{"hmacSha1Base64WithHexKey", []string{hexKey, data}, "qT6F/Kq1r4K72c8t1gZAgDB0V9o="},
		{"hmacSha1HexWithBase64Key", []string{base64Key, data}, "a93e85fcaab5af82bbd9cf2dd6064080307457da"},
		{"hmacSha256Hex", []string{key, data}, "7393a9f238c2b077ae14b5ff83ab3492a7122034bf3b1053ba07beb0a5403eb6"},
		{"hmacSha256Base64", []string{key, data}, "c5Op8jjCsHeuFLX/g6s0kqcSIDS/OxBTuge+sKVAPrY="},
		{"hmacSha256HexWithHexKey", []string{hexKey, data}, "7393a9f238c2b077ae14b5ff83ab3492a7122034bf3b1053ba07beb0a5403eb6"},
		{"hmacSha256Base64WithBase64Key", []string{base64Key, data}, "c5Op8jjCsHeuFLX/g6s0kqcSIDS/OxBTuge+sKVAPrY="},
		{"hmacSha256Base64WithHexKey", []string{hexKey, data}, "c5Op8jjCsHeuFLX/g6s0kqcSIDS/OxBTuge+sKVAPrY="},
		{"hmacSha256HexWithBase64Key", []string{base64Key, data}, "7393a9f238c2b077ae14b5ff83ab3492a7122034bf3b1053ba07beb0a5403eb6"},
		{"hmacSha384Hex", []string{key, data}, "e5fdd3f6dce2f18b2a288fee6ecf703dd78c6f685e53e0e6a490ffb674d995b16bab750431db8bb0336fe6634cb2db07"},
		{"hmacSha384Base64", []string{key, data}, "5f3T9tzi8YsqKI/ubs9wPdeMb2heU+DmpJD/tnTZlbFrq3UEMduLsDNv5mNMstsH"},
		{"hmacSha384HexWithHexKey", []string{hexKey, data}, "e5fdd3f6dce2f18b2a288fee6ecf703dd78c6f685e53e0e6a490ffb674d995b16bab750431db8bb0336fe6634cb2db07"},
		{"hmacSha384Base64WithBase64Key", []string{base64Key, data}, "5f3T9tzi8YsqKI/ubs9wPdeMb2heU+DmpJD/tnTZlbFrq3UEMduLsDNv5mNMstsH"},
		{"hmacSha384Base64WithHexKey", []string{hexKey, data}, "5f3T9tzi8YsqKI/ubs9wPdeMb2heU+DmpJD/tnTZlbFrq3UEMduLsDNv5mNMstsH"},
		{"hmacSha384HexWithBase64Key", []string{base64Key, data}, "e5fdd3f6dce2f18b2a288fee6ecf703dd78c6f685e53e0e6a490ffb674d995b16bab750431db8bb0336fe6634cb2db07"},
		{"hmacSha512Hex", []string{key, data}, "a36ccf6df51da35a35c2c605e15e098a42c6bc8da6c6c3216f46ebbfcb154a6fb64be15fb7e8d36440bb12aad83a2ec13f9ab2586fa0fe354d6fe959074d0eca"},
		{"hmacSha512Base64", []string{key, data}, "o2zPbfUdo1o1wsYF4V4JikLGvI2mxsMhb0brv8sVSm+2S+Fft+jTZEC7EqrYOi7BP5qyWG+g/jVNb+lZB00Oyg=="},
		{"hmacSha512HexWithHexKey", []string{hexKey, data}, "a36ccf6df51da35a35c2c605e15e098a42c6bc8da6c6c3216f46ebbfcb154a6fb64be15fb7e8d36440bb12aad83a2ec13f9ab2586fa0fe354d6fe959074d0eca"},
		{"hmacSha512Base64WithBase64Key", []string{base64Key, data}, "o2zPbfUdo1o1wsYF4V4JikLGvI2mxsMhb0brv8sVSm+2S+Fft+jTZEC7EqrYOi7BP5qyWG+g/jVNb+lZB00Oyg=="},
		{"hmacSha512Base64WithHexKey", []string{hexKey, data}, "o2zPbfUdo1o1wsYF4V4JikLGvI2mxsMhb0brv8sVSm+2S+Fft+jTZEC7EqrYOi7BP5qyWG+g/jVNb+lZB00Oyg=="},
		{"hmacSha512HexWithBase64Key", []string{base64Key, data}, "a36ccf6df51da35a35c2c605e15e098a42c6bc8da6c6c3216f46ebbfcb154a6fb64be15fb7e8d36440bb12aad83a2ec13f9ab2586fa0fe354d6fe959074d0eca"},
		{"md2Hex", []string{data}, "4509b68610e1531e3530fc89eb593e1e"},
		{"md2Base64", []string{data}, "RQm2hhDhUx41MPyJ61k+Hg=="},
		{"md5Hex", []string{data}, "d217a55c5c2f2e557bdd66800429eff8"},
		{"md5Base64", []string{data}, "0helXFwvLlV73WaABCnv+A=="},
		{"sha1Hex", []string{data}, "8f1aed673a3043379fb695ba9c108bff74581148"},
		{"sha1Base64", []string{data}, "jxrtZzowQzeftpW6nBCL/3RYEUg="},
		{"sha256Hex", []string{data}, "7a31793fa19843d90bf2d69e4163350aaeb1c588a2e25acbca218154d0dad473"},
		{"sha256Base64", []string{data}, "ejF5P6GYQ9kL8taeQWM1Cq6xxYii4lrLyiGBVNDa1HM="},
		{"sha384Hex", []string{data}, "35f6bf98df8e6702e1d5cd49827cfdea0409f26f9dc5da5ab9c122dcd748479fb2b3b6f4e2a31605c398a90a71ab99ba"},
		{"sha384Base64", []string{data}, "Nfa/mN+OZwLh1c1Jgnz96gQJ8m+dxdpaucEi3NdIR5+ys7b04qMWBcOYqQpxq5m6"},
		{"sha512Hex", []string{data}, "d3a3c7a934d892f625232b482e87db42558a0b3f67a8b1166e6af211f04a21af2222a7d996930403473eb54ebfd652e195f509469f89975fd61574b2990bffa5"},
		{"sha512Base64", []string{data}, "06PHqTTYkvYlIytILofbQlWKCz9nqLEWbmryEfBKIa8iIqfZlpMEA0c+tU6/1lLhlfUJRp+Jl1/WFXSymQv/pQ=="},
	}
	names := []string{}
	for _, tt := range tests {
		names = append(names, tt.name)
		m, ok := lookup(tt.name)
		require.True(t, ok, tt.name)
		require.Len(t, m.Args(), len(tt.args), tt.name)
		require.Equal(t, "data", m.Args()[len(m.Args())-1], tt.name)
		require.Equal(t, tt.want, mustDigest(t, tt.name, tt.args...), tt.name)
	}
	for i, m := range Members() {
		require.Equal(t, names[i], m.Name)
	}
	require.Len(t, Members(), len(names))
}

func TestHashVectors(t *testing.T) {
	t.Parallel()
	const (
		lower  = "abcdefghijklmnopqrstuvwxyz"
		mixed  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		digits = "12345678901234567890123456789012345678901234567890123456789012345678901234567890"
	)
	million := strings.Repeat("a", 1_000_000)
	for _, tt := range []struct{ name, data, want string }{
		// RFC 1319, A.5
		{"md2Hex", "", "8350e5a3e24c153df2275c9f80692773"},
		{"md2Hex", "a", "32ec01ec4a6dac72c0ab96fb34c0b5d1"},
		{"md2Hex", "abc", "da853b0d3f88d99b30283a69e6ded6bb"},
		{"md2Hex", "message digest", "ab4f496bfb2a530b219ff33031fe06b0"},
		{"md2Hex", lower, "4e8ddff3650292ab5a4108c3aa47940b"},
		{"md2Hex", mixed, "da33def2a42df13975352846c30338cd"},
		{"md2Hex", digits, "d5976f79d83d3a0dc9806c3c66f3efd8"},

		// RFC 1321, A.5
		{"md5Hex", "", "d41d8cd98f00b204e9800998ecf8427e"},
		{"md5Hex", "a", "0cc175b9c0f1b6a831c399e269772661"},
		{"md5Hex", "abc", "900150983cd24fb0d6963f7d28e17f72"},
		{"md5Hex", "message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
		{"md5Hex", lower, "c3fcd3d76192e4007dfb496cca67e13b"},
		{"md5Hex", mixed, "d174ab98d277d9f5a5611c2c9f419d9f"},
		{"md5Hex", digits, "57edf4a22be3c955ac49da2e2107b67a"},

		// FIPS 180, and sphlib's MD2, over more than one piece of writeString.
		{"md2Hex", million, "8c0a09ff1216ecaf95c8130953c62efd"},
		{"sha1Hex", million, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
		{"sha256Hex", million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
		{"sha384Hex", million, "9d0e1809716474cb086e834e310a4a1ced149e9c00f248527972cec5704c2a5b07b8b3dc38ecc4ebae97ddd87f3d8985"},
		{"sha512Hex", million, "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973ebde0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b"},
	} {
		require.Equal(t, tt.want, mustDigest(t, tt.name, tt.data), "%s(%.80q)", tt.name, tt.data)
	}
}

// A hash.Hash takes its input in any pieces, and Sum leaves it as it was.
func TestMD2Pieces(t *testing.T) {
	t.Parallel()
	for size := 1; size <= 33; size++ {
		h := newMD2()
		for rest := strings.Repeat("1234567890", 8); rest != ""; {
			n := min(size, len(rest))
			written, err := h.Write([]byte(rest[:n]))
			require.NoError(t, err)
			require.Equal(t, n, written)
			rest = rest[n:]
			h.Sum(nil)
		}
		require.Equal(t, "d5976f79d83d3a0dc9806c3c66f3efd8", hex.EncodeToString(h.Sum(nil)), size)
		h.Reset()
		require.Equal(t, "8350e5a3e24c153df2275c9f80692773", hex.EncodeToString(h.Sum(nil)), size)
	}
}

// RFC 2202 (MD5, SHA-1) and RFC 4231 (SHA-2). Where the RFC prints a truncated
// value, its beginning is compared.
func TestHMACVectors(t *testing.T) {
	t.Parallel()
	const (
		hashKeyFirst = "Test Using Larger Than Block-Size Key - Hash Key First"
		bigBoth2202  = "Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data"
		bigBoth4231  = "This is a test using a larger than block-size key and a larger than block-size data. " +
			"The key needs to be hashed before being used by the HMAC algorithm."
	)
	counting := "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"
	rep := strings.Repeat
	for _, tt := range []struct{ hash, key, data, want string }{
		{"Md5", rep("\x0b", 16), "Hi There", "9294727a3638bb1c13f48ef8158bfc9d"},
		{"Md5", "Jefe", "what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"},
		{"Md5", rep("\xaa", 16), rep("\xdd", 50), "56be34521d144c88dbb8c733f0e8b3f6"},
		{"Md5", counting, rep("\xcd", 50), "697eaf0aca3a3aea3a75164746ffaa79"},
		{"Md5", rep("\x0c", 16), "Test With Truncation", "56461ef2342edc00f9bab995690efd4c"},
		{"Md5", rep("\xaa", 80), hashKeyFirst, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
		{"Md5", rep("\xaa", 80), bigBoth2202, "6f630fad67cda0ee1fb1f562db3aa53e"},

		{"Sha1", rep("\x0b", 20), "Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"},
		{"Sha1", "Jefe", "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
		{"Sha1", rep("\xaa", 20), rep("\xdd", 50), "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
		{"Sha1", counting, rep("\xcd", 50), "4c9007f4026250c6bc8414f9bf50c86c2d7235da"},
		{"Sha1", rep("\x0c", 20), "Test With Truncation", "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"},
		{"Sha1", rep("\xaa", 80), hashKeyFirst, "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
		{"Sha1", rep("\xaa", 80), bigBoth2202, "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"},

		{"Sha256", rep("\x0b", 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"Sha256", "Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"Sha256", rep("\xaa", 20), rep("\xdd", 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{"Sha256", counting, rep("\xcd", 50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{"Sha256", rep("\x0c", 20), "Test With Truncation", "a3b6167473100ee06e0c796c2955552b"},
		{"Sha256", rep("\xaa", 131), hashKeyFirst, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{"Sha256", rep("\xaa", 131), bigBoth4231, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},

		{"Sha384", rep("\x0b", 20), "Hi There", "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"},
		{"Sha384", "Jefe", "what do ya want for nothing?", "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"},
		{"Sha384", rep("\xaa", 20), rep("\xdd", 50), "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27"},
		{"Sha384", counting, rep("\xcd", 50), "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb"},
		{"Sha384", rep("\x0c", 20), "Test With Truncation", "3abf34c3503b2a23a46efc619baef897"},
		{"Sha384", rep("\xaa", 131), hashKeyFirst, "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"},
		{"Sha384", rep("\xaa", 131), bigBoth4231, "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31e799176d3860e6110c46523e"},

		{"Sha512", rep("\x0b", 20), "Hi There", "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
		{"Sha512", "Jefe", "what do ya want for nothing?", "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
		{"Sha512", rep("\xaa", 20), rep("\xdd", 50), "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb"},
		{"Sha512", counting, rep("\xcd", 50), "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd"},
		{"Sha512", rep("\x0c", 20), "Test With Truncation", "415fad6271580a531d4179bc891d87a6"},
		{"Sha512", rep("\xaa", 131), hashKeyFirst, "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"},
		{"Sha512", rep("\xaa", 131), bigBoth4231, "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58"},
	} {
		keyHex := hex.EncodeToString([]byte(tt.key))
		got := mustDigest(t, "hmac"+tt.hash+"HexWithHexKey", keyHex, tt.data)
		require.Equal(t, tt.want, got[:len(tt.want)], "%s of %.40q", tt.hash, tt.data)

		// The other spellings of the key and of the sum.
		require.Equal(t, got, mustDigest(t, "hmac"+tt.hash+"HexWithHexKey", strings.ToUpper(keyHex), tt.data))
		require.Equal(t, got, mustDigest(t, "hmac"+tt.hash+"Hex", tt.key, tt.data))
		sum, err := hex.DecodeString(got)
		require.NoError(t, err)
		sumBase64 := base64.StdEncoding.EncodeToString(sum)
		require.Equal(t, sumBase64, mustDigest(t, "hmac"+tt.hash+"Base64", tt.key, tt.data))
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
			key := encoding.EncodeToString([]byte(tt.key))
			require.Equal(t, sumBase64, mustDigest(t, "hmac"+tt.hash+"Base64WithBase64Key", key, tt.data))
		}
	}
}

func TestDigestEmptyKey(t *testing.T) {
	t.Parallel()
	const want = "74e6f7298a9c2d168935f58c001bad88"
	require.Equal(t, want, mustDigest(t, "hmacMd5Hex", "", ""))
	require.Equal(t, want, mustDigest(t, "hmacMd5HexWithHexKey", "", ""))
	require.Equal(t, "dOb3KYqcLRaJNfWMAButiA==", mustDigest(t, "hmacMd5Base64WithBase64Key", "", ""))
}

func TestDigestBrokenKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, key string }{
		{"hex", "abc"},
		{"hex", "0g"},
		{"hex", "0x0b"},
		{"hex", "0b 0b"},
		{"hex", "0b\n"},
		{"hex", "é"},
		{"base64", "A"},
		{"base64", "QUI=="},
		{"base64", "QQ="},
		{"base64", "Q=Q="},
		{"base64", "=QQ="},
		{"base64", "===="},
		{"base64", "QUJD="},
		{"base64", "QUJD QUJD"},
		{"base64", "QUJD\nQUJD"},
		{"base64", "QQ==\r\n"},
		{"base64", "__--"}, // the URL alphabet
		{"base64", "é"},
	} {
		suffix, arg, msg := "HexWithHexKey", "hexKey", "is not valid hex"
		if tt.kind == "base64" {
			suffix, arg, msg = "Base64WithBase64Key", "base64Key", "is not valid Base64"
		}
		for _, hash := range []string{"Md5", "Sha1", "Sha256", "Sha384", "Sha512"} {
			m, ok := lookup("hmac" + hash + suffix)
			require.True(t, ok)
			require.Equal(t, []string{arg, "data"}, m.Args())
			sum, err := m.Sum(context.Background(), []string{tt.key, "data"})
			require.Empty(t, sum)
			require.Equal(t, argError{arg: arg, msg: msg}, err, "%q", tt.key)
			require.EqualError(t, err, arg+" "+msg)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	data := strings.Repeat("0123456789abcdef", 128)
	for _, name := range []string{"hmacSha256Hex", "sha256Hex", "md2Hex"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			args := []string{"key", data}
			for b.Loop() {
				m, _ := lookup(name)
				if _, err := m.Sum(context.Background(), args[len(args)-len(m.Args()):]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A stepContext is done after a number of calls of Err.
type stepContext struct {
	context.Context
	calls int // of Err, until it is done
}

func (c *stepContext) Err() error {
	if c.calls--; c.calls < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// TestDigestStopsAtTheDeadline: a digest looks at its context as it goes, and
// what it returns of one that is done is not the digest of the data.
func TestDigestStopsAtTheDeadline(t *testing.T) {
	data := strings.Repeat("x", 128<<10)
	for _, m := range Members() {
		args := make([]string, len(m.Args()))
		args[len(args)-1] = data
		whole, err := m.Sum(t.Context(), args)
		require.NoError(t, err)
		for _, steps := range []int{0, 1, 100} {
			ctx := &stepContext{t.Context(), steps}
			part, err := m.Sum(ctx, args)
			require.NoError(t, err)
			require.NotEqual(t, whole, part, "%s after %d steps", m.Name, steps)
			require.Equal(t, -1, ctx.calls, "%s goes on", m.Name)
		}
	}
}
