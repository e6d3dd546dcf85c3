"""Names a hundred of timm's architectures for `axes_against_pytorch.py --architectures`, and builds them.

The first input side and depth that a class takes are used: small ones, so that the export is quick.
"""

from axes_networks import CLASSES, TOKEN_MIXING, Spec, unfused

NAMES = """
vit_tiny_patch16_224 deit_tiny_distilled_patch16_224 deit3_small_patch16_224 vit_small_patch14_dinov2
vit_small_patch14_reg4_dinov2 vit_small_patch16_dinov3 eva02_tiny_patch14_224 beit_base_patch16_224 convnext_atto
convnext_tiny convnextv2_atto convnextv2_tiny swin_tiny_patch4_window7_224 swin_s3_tiny_224 swinv2_tiny_window8_256
swinv2_cr_tiny_ns_224 maxvit_rmlp_pico_rw_256 maxxvit_rmlp_nano_rw_256 coatnet_nano_rw_224 coatnext_nano_rw_224
mixer_s32_224 gmixer_12_224 resmlp_12_224 gmlp_ti16_224 poolformer_s12 poolformerv2_s12 convformer_s18 caformer_s18
cait_xxs24_224 coat_tiny coat_lite_tiny convit_tiny crossvit_tiny_240 davit_tiny edgenext_xx_small efficientformer_l1
efficientformerv2_s0 efficientvit_b0 efficientvit_m0 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny hiera_tiny_224
inception_next_atto levit_128s mambaout_femto mobilevit_xxs mobilevitv2_050 mvitv2_tiny nest_tiny nextvit_small pit_ti_224
pvt_v2_b0 rdnet_tiny sequencer2d_s shvit_s1 swiftformer_xs tiny_vit_5m_224 tnt_s_legacy_patch16_224 twins_pcpvt_small
twins_svt_small visformer_tiny vitamin_small_224 vit_relpos_small_patch16_224 vit_srelpos_small_patch16_224
vit_tiny_r_s16_p8_224 samvit_base_patch16 volo_d1_224 xcit_nano_12_p16_224 flexivit_small vit_base_patch16_gap_224
vit_base_patch16_siglip_224 vit_base_patch16_reg4_gap_256 cpubone_b0_bfrobust csatv2 cspnext_tiny efficientvim_m1
sam2_hiera_tiny iformer_m lcnetv2_small lowformer_b0 botnet26t_256 halonet26t lambda_resnet26t
gernet_s repvgg_a0 mobileone_s0 gcresnet33ts cspresnet50 densenet121 dla34 dpn48b efficientnet_b0 efficientnet_lite0
mixnet_s tinynet_e mnasnet_small fasternet_t0 ghostnet_050 hardcorenas_a hgnet_tiny hgnetv2_b0 hrnet_w18_small inception_v3
lcnet_035 mobilenetv3_small_050 mobilenetv4_conv_small mobilenetv4_hybrid_medium nf_resnet50 eca_nfnet_l0 regnetx_002
regnety_002 repghostnet_050 repvit_m0_9 res2net50_14w_8s resnest14d resnet10t resnet18 resnetv2_50x1_bit rexnet_100
selecsls42 legacy_seresnet18 skresnet18 starnet_s050 tresnet_m vgg11 ese_vovnet19b_dw xception41 fbnetv3_b
inception_v4 convmixer_768_32
""".split()

# Number of prefix tokens (such as class tokens) of architectures whose class has no `num_prefix_tokens`.
PREFIXES = {"crossvit": 1, "coat": 1, "cait": 1, "xcit": 1, "pit": 1, "tnt": 1, "volo": 1, "convit": 1}
MIXING = ("mixer", "gmixer", "resmlp", "gmlp")
SMALLER = [{"depth": 3}, {"depth": 4}, {}]
SIDES = (64, 128, None)


def spec(name):
    """Builds the architecture at the smallest side that it accepts."""
    import timm
    import torch

    for side in SIDES:
        for smaller in SMALLER:
            for sized in ({"img_size": side}, {}) if side else ({},):
                arguments = {"num_classes": CLASSES} | smaller | sized
                try:
                    torch.manual_seed(0)
                    net = timm.create_model(name, pretrained=False, **arguments).eval()
                    real = side or net.default_cfg["input_size"][-1]
                    if isinstance(getattr(net, "default_cfg", {}).get("input_size"), tuple) and not sized and side:
                        if net.default_cfg.get("fixed_input_size"):
                            continue
                    with torch.no_grad():
                        net(torch.randn(1, 3, real, real))
                except Exception:
                    continue
                family = name.split("_")[0]
                mixing = family in MIXING
                build = lambda arguments=arguments: timm.create_model(name, pretrained=False, **arguments)
                return Spec(
                    unfused(build) if family == "eva02" else build, side=real,
                    prefix=next((p for k, p in PREFIXES.items() if name.startswith(k) and not name.startswith("coatn")), 0),
                    no_channel=(TOKEN_MIXING if mixing and family != "gmlp" else r"\.gate\.proj$" if mixing
                                else r"\.(q_norm|k_norm|norm_q|norm_k|attn\.proj_[lw])$"),
                    extra={"arguments": arguments},
                )
    raise ValueError(f"{name} takes no side of {SIDES}")


def picture(net, shape, folder, name):
    """Returns a PNG as large as the input, and PyTorch's prediction for it with ImageNet's mean and standard
    deviation."""
    import numpy as np
    import torch
    from compare_with_pytorch import photo_like
    from PIL import Image

    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    best = None
    for seed in range(3):
        pixels = ((photo_like(shape, 1, 50 + seed)[0] * 0.22 + 0.45).clamp(0, 1) * 255).round()
        with torch.no_grad():
            y = net(((pixels / 255 - mean) / std)[None])
        y = (y if torch.is_tensor(y) else y[0])[0]
        top = y.topk(5)
        margin = float(top.values[0] - top.values[1])
        if best is None or margin > best[0]:
            best = margin, pixels, top, y
    margin, pixels, top, y = best
    file = f"{name}.png"
    Image.fromarray(pixels.permute(1, 2, 0).numpy().astype(np.uint8)).save(folder / file)
    probabilities = y.double().softmax(0)
    return {
        "png": file, "preprocess": "imagenet", "top1": int(top.indices[0]), "margin": margin,
        "probabilities": {str(int(i)): float(probabilities[i]) for i in top.indices},
    }
