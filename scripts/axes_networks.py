"""Defines small networks whose hidden layers have their channels on different axes, for `axes_against_pytorch.py`.

Each entry builds torchvision's or timm's own class with small arguments. `Spec` states what the class does not say of
itself: the number of prefix tokens, and modules that mix tokens, for which no channel axis exists.
"""

from dataclasses import dataclass, field
from typing import Callable

SIDE = 64
CLASSES = 10


@dataclass
class Spec:
    """How to build a network, its input's side, and what cannot be inferred about its axes."""

    build: Callable
    side: int = SIDE
    # Number of prefix tokens (class, distillation, registers), if the network's class has no `num_prefix_tokens`.
    prefix: int = 0
    # Regular expression for the paths of modules whose results have no channel axis.
    no_channel: str = r"\.(q_norm|k_norm|norm_q|norm_k)$"
    # Regular expression for modules that are left out, because the rules of `axes_against_pytorch` would misread them.
    leave: str = r"^$"
    note: str = ""
    extra: dict = field(default_factory=dict)


def timm_network(name, **arguments):
    def build():
        import timm

        return timm.create_model(name, pretrained=False, **({"num_classes": CLASSES} | arguments))

    return build


def tv_convnext():
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    widths = [(24, 36, 1), (36, 44, 1), (44, 52, 2), (52, None, 1)]
    return ConvNeXt([CNBlockConfig(*w) for w in widths], num_classes=CLASSES)


def tv_swin(version):
    def build():
        from torchvision.models import swin_transformer as s

        v2 = {"block": s.SwinTransformerBlockV2, "downsample_layer": s.PatchMergingV2} if version == 2 else {}
        return s.SwinTransformer(
            [4, 4], 24, [2, 2, 1], [2, 4, 4], [4, 4], stochastic_depth_prob=0.0, num_classes=CLASSES, **v2
        )

    return build


def tv_vit():
    from torchvision.models import VisionTransformer

    return VisionTransformer(SIDE, 16, 3, 3, 36, 72, num_classes=CLASSES)


def tv_maxvit():
    from torchvision.models import MaxVit

    return MaxVit((SIDE, SIDE), 12, 4, [12, 20], [1, 2], 4, 0.0, num_classes=CLASSES)


def mixer(kind="mixer"):
    """Builds timm's MLP-Mixer and networks of the same class."""

    def build():
        from timm import layers
        from timm.models import mlp_mixer as m
        from torch import nn

        more = {
            "mixer": {},
            "gmixer": {"mlp_ratio": (1.0, 4.0), "mlp_layer": layers.GluMlp, "act_layer": nn.SiLU},
            "resmlp": {"mlp_ratio": 4, "block_layer": m.ResBlock, "norm_layer": m.Affine},
            "gmlp": {"mlp_ratio": 6, "block_layer": m.SpatialGatingBlock, "mlp_layer": layers.GatedMlp},
        }
        return m.MlpMixer(num_classes=CLASSES, img_size=SIDE, patch_size=16, num_blocks=3, embed_dim=36, **more[kind])

    return build


def poolformer():
    from timm.models import metaformer as m
    from torch import nn

    return m.MetaFormer(
        depths=(1, 1, 2, 1), dims=(24, 36, 44, 52), num_classes=CLASSES, downsample_norm=None, mlp_act=nn.GELU,
        mlp_bias=True, norm_layers=m.GroupNorm1, layer_scale_init_values=1e-5, res_scale_init_values=None,
        use_mlp_head=False,
    )


def caformer():
    from timm.models import metaformer as m

    return m.MetaFormer(
        depths=(1, 1, 1, 1), dims=(32, 64, 96, 128), num_classes=CLASSES,
        token_mixers=[m.SepConv, m.SepConv, m.Attention, m.Attention],
        norm_layers=[m.LayerNorm2dNoBias] * 2 + [m.LayerNormNoBias] * 2,
    )


def focalnet():
    from timm.models.focalnet import FocalNet

    return FocalNet(depths=(1, 1, 1, 1), embed_dim=24, num_classes=CLASSES)


def mvit():
    from timm.models.mvitv2 import MultiScaleVit, MultiScaleVitCfg

    return MultiScaleVit(MultiScaleVitCfg(depths=(1, 1, 2, 1), embed_dim=24, num_heads=1), SIDE, num_classes=CLASSES)


def unfused(build):
    """Attention written as separate operators, without PyTorch's fused function."""

    def changed():
        net = build()
        for module in net.modules():
            if hasattr(module, "fused_attn"):
                module.fused_attn = False
        return net

    return changed


VIT = {"img_size": SIDE, "depth": 3, "embed_dim": 36, "num_heads": 3}
STAGES = {"depths": (1, 1, 2, 1)}
SWIN = {"img_size": SIDE, "window_size": 4, "embed_dim": 24, "depths": (2, 2, 1), "num_heads": (2, 4, 4)}
TOKEN_MIXING = r"\.(mlp_tokens|linear_tokens)(\.|$)|\.mlp_channels\.gate(\.|$)"

NETWORKS = {
    # torchvision
    "tv_convnext": Spec(tv_convnext),
    "tv_swin": Spec(tv_swin(1)),
    "tv_swin_v2": Spec(tv_swin(2)),
    "tv_vit": Spec(tv_vit, prefix=1),
    "tv_maxvit": Spec(tv_maxvit),
    # timm
    "convnext": Spec(timm_network("convnext_tiny", dims=(24, 36, 44, 52), **STAGES)),
    "convnext_conv_mlp": Spec(timm_network("convnext_atto", dims=(24, 36, 44, 52), **STAGES)),
    "convnext_v2": Spec(timm_network("convnextv2_tiny", dims=(24, 36, 44, 52), **STAGES)),
    "swin": Spec(timm_network("swin_tiny_patch4_window7_224", **SWIN)),
    "swin_v2": Spec(timm_network("swinv2_tiny_window8_256", **SWIN)),
    "vit": Spec(timm_network("vit_tiny_patch16_224", **VIT)),
    "deit_distilled": Spec(timm_network("deit_tiny_distilled_patch16_224", **VIT)),
    "maxvit": Spec(
        timm_network("maxvit_tiny_tf_224", img_size=SIDE, embed_dim=(32, 64, 96), depths=(1, 1, 1), stem_width=20)
    ),
    "mixer": Spec(mixer(), no_channel=TOKEN_MIXING),
    "poolformer": Spec(poolformer),
    "eva02": Spec(
        unfused(timm_network("eva02_tiny_patch14_224", img_size=56, depth=3, embed_dim=48, num_heads=3)), side=56,
        note="attention written out: the older exporter cannot trace this class with the fused form",
    ),
    "eva02_fused": Spec(
        timm_network("eva02_tiny_patch14_224", img_size=56, depth=3, embed_dim=48, num_heads=3), side=56
    ),
    "dinov2_reg4": Spec(
        timm_network("vit_small_patch14_reg4_dinov2", img_size=56, depth=3, embed_dim=36, num_heads=3), side=56
    ),
    "vit_registers_mean": Spec(
        timm_network("vit_small_patch16_224", class_token=False, reg_tokens=4, global_pool="avg", **VIT)
    ),
    # Wider
    "swin_v2_cr": Spec(timm_network("swinv2_cr_tiny_224", **SWIN)),
    "deit3": Spec(timm_network("deit3_small_patch16_224", **VIT)),
    "beit": Spec(timm_network("beit_base_patch16_224", **VIT)),
    "cait": Spec(timm_network("cait_xxs24_224", **VIT), prefix=1, no_channel=r"\.attn\.proj_[lw]$"),
    "xcit": Spec(timm_network("xcit_nano_12_p16_224", **VIT), prefix=1),
    "pvt_v2": Spec(
        timm_network("pvt_v2_b0", depths=(1, 1, 1, 1), embed_dims=(12, 20, 28, 36), num_heads=(1, 2, 2, 4))
    ),
    "twins_svt": Spec(
        timm_network("twins_svt_small", img_size=SIDE, embed_dims=(12, 20, 28, 36), num_heads=(1, 2, 2, 4),
                     depths=(2, 2, 2, 2), wss=(4, 4, 2, 2))
    ),
    "twins_pcpvt": Spec(
        timm_network("twins_pcpvt_small", img_size=SIDE, embed_dims=(12, 20, 28, 36), num_heads=(1, 2, 2, 4),
                     depths=(1, 1, 1, 1))
    ),
    "coat": Spec(
        timm_network("coat_lite_tiny", img_size=SIDE, embed_dims=(24, 40, 56, 72), serial_depths=(1, 1, 1, 1)), prefix=1
    ),
    "crossvit": Spec(
        timm_network("crossvit_9_240", embed_dim=(24, 36), num_heads=(2, 3), img_size=120), side=120, prefix=1
    ),
    "mobilevit": Spec(timm_network("mobilevit_xxs")),
    "mobilevit_v2": Spec(timm_network("mobilevitv2_050")),
    "efficientformer": Spec(timm_network("efficientformer_l1", depths=(1, 1, 1, 2), embed_dims=(24, 36, 44, 60)), side=224),
    "levit": Spec(
        timm_network("levit_128s", img_size=SIDE, embed_dim=(48, 60, 72), key_dim=8, num_heads=(2, 3, 4),
                     depth=(1, 1, 1))
    ),
    "focalnet": Spec(focalnet),
    "gmlp": Spec(mixer("gmlp"), no_channel=r"\.gate\.proj$"),
    "gmixer": Spec(mixer("gmixer"), no_channel=TOKEN_MIXING),
    "resmlp": Spec(mixer("resmlp"), no_channel=TOKEN_MIXING),
    "hiera": Spec(
        timm_network("hiera_tiny_224", img_size=(SIDE, SIDE), embed_dim=24, num_heads=1, stages=(1, 1, 1, 1)),
        leave=r"^blocks\.\d+\.attn$",
    ),
    "vit_relpos": Spec(timm_network("vit_relpos_small_patch16_224", **VIT)),
    "coatnet": Spec(
        timm_network("coatnet_nano_rw_224", img_size=SIDE, embed_dim=(32, 64, 96, 128), depths=(1, 1, 1, 1))
    ),
    "davit": Spec(timm_network("davit_tiny", depths=(1, 1, 1, 1), embed_dims=(24, 36, 44, 52), num_heads=(2, 2, 4, 4),
                               window_size=4), no_channel=r"\.channel_block\.attn\.qk"),
    "edgenext": Spec(timm_network("edgenext_xx_small")),
    "nest": Spec(timm_network("nest_tiny", img_size=SIDE, embed_dims=(24, 36, 44), num_heads=(2, 3, 4),
                              depths=(1, 1, 1)), leave=r"levels\.\d+(\.transformer_encoder.*)?$"),
    "metaformer_caformer": Spec(caformer),
    "pit": Spec(timm_network("pit_ti_224", img_size=SIDE, base_dims=(12, 12, 12), heads=(2, 4, 8), depth=(1, 1, 1)), prefix=1),
    "mvitv2": Spec(mvit),
    "inception_next": Spec(timm_network("inception_next_tiny", depths=(1, 1, 1, 1), dims=(24, 36, 44, 52))),
    "tiny_vit": Spec(timm_network("tiny_vit_5m_224", embed_dims=(24, 40, 56, 72), num_heads=(2, 2, 4, 4),
                                  depths=(1, 1, 1, 1), window_sizes=(4, 4, 4, 2))),
}
